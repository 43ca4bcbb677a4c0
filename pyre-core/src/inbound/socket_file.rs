//! Unix-domain sockets in the file system: who may connect, and whose they are.

use std::fmt;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// The bits of a mode that say who may connect.
const MODE_BITS: u32 = 0o777;

/// What tells the files of one machine apart. File systems give a number away again once nobody has
/// its file open: it counts as long as a socket that is bound to the file is open somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (device, inode) = text.split_once(':')?;
        Some(Self { device: device.parse().ok()?, inode: inode.parse().ok()? })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{}:{}", self.device, self.inode)
    }
}

/// A socket in the file system, and which one it is: another server may have put its own there. Of
/// use while that socket is open, in this process or another, as its number is nobody else's then.
pub(crate) struct SocketFile {
    path: PathBuf,
    id: FileId,
}

impl SocketFile {
    /// The file of a socket that is bound to it and open.
    pub(crate) fn of(path: &Path, id: FileId) -> Self {
        Self { path: path.to_owned(), id }
    }

    /// The socket that is there now.
    fn find(path: &Path) -> io::Result<Self> {
        Ok(Self::of(path, FileId::of(&fs::symlink_metadata(path)?)))
    }

    /// What a successor knows the file by.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// Makes a socket that does not listen yet. Never, not for a moment, does its file let in anybody
    /// whom `mode` keeps out.
    ///
    /// The umask is the whole process's, other threads of the program rely on it: it narrows the mode of
    /// the new file, and only then is that set. The system does not tell which file it has made, so it is
    /// looked for by its name. Who may write into the folder could exchange it before that, as well as
    /// at any later time.
    pub(crate) fn make(path: &Path, mode: u32) -> io::Result<(Socket, Self)> {
        let socket = unbound(mode)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = Self::find(path)?;
        let outcome = file.set_mode(mode);
        if outcome.is_err() {
            file.unlink();
        }
        outcome.map(|()| (socket, file))
    }

    /// Gives the file this mode; does nothing if another one has taken its place.
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        let Some(file) = self.open()? else { return Ok(()) };
        if file.mode == mode {
            return Ok(());
        }
        fs::set_permissions(&file.path, Permissions::from_mode(mode))
    }

    /// Removes the file if it is still the same socket. That one must be open.
    pub(crate) fn unlink(&self) {
        if self.is_there() {
            // Somebody may be faster; then it is gone as well.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Whether a path leads to the same socket.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        Self::find(path).is_ok_and(|found| found.id == self.id)
    }

    /// Whether its path still leads to the socket.
    pub(crate) fn is_there(&self) -> bool {
        self.is_at(&self.path)
    }

    /// The file itself, if it is still there. Whoever may write into the folder could put a link
    /// there at any time: a change goes to what was opened, which is this socket, by no other name.
    #[cfg(target_os = "linux")]
    fn open(&self) -> io::Result<Option<Opened>> {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::OpenOptionsExt;

        let mut options = File::options();
        options.read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW);
        let file = match options.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if !metadata.file_type().is_socket() || FileId::of(&metadata) != self.id {
            return Ok(None);
        }
        // `fchmod` refuses descriptors of this kind; this is its way round that (open(2), `O_PATH`).
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Ok(Some(Opened { path, mode: metadata.mode() & MODE_BITS, _file: file }))
    }

    /// The file, by its name: there is no other way to change a socket's mode here.
    #[cfg(not(target_os = "linux"))]
    fn open(&self) -> io::Result<Option<Opened>> {
        let metadata = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        if !metadata.file_type().is_socket() || FileId::of(&metadata) != self.id {
            return Ok(None);
        }
        Ok(Some(Opened { path: self.path.clone(), mode: metadata.mode() & MODE_BITS }))
    }
}

impl fmt::Display for SocketFile {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "unix:{}", self.path.display())
    }
}

/// A socket's file while its mode is looked at and changed.
struct Opened {
    /// Leads to it.
    path: PathBuf,
    mode: u32,
    /// Keeps the path valid.
    #[cfg(target_os = "linux")]
    _file: File,
}

/// A socket whose file, once it is bound, has at most this mode: Linux gives the file that of the
/// socket, less the umask. Elsewhere this changes nothing; nobody can connect before it listens.
fn unbound(mode: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    if cfg!(not(target_os = "linux")) {
        return Ok(socket);
    }
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(Socket::from(OwnedFd::from(file)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder of one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("pyre-{name}-{}", std::process::id()));
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_socket_has_the_mode_that_was_asked_for() {
        let folder = Folder::new("modes");
        for mode in [0, 0o600, 0o660, 0o666, 0o777] {
            let path = folder.path(&format!("{mode:o}"));
            let (_socket, file) = SocketFile::make(&path, mode).unwrap();
            assert_eq!(mode_of(&path), mode, "{mode:o}");
            file.unlink();
            assert!(!path.exists());
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_socket_is_never_more_open_than_asked() {
        let folder = Folder::new("moment");
        for mode in [0, 0o600, 0o660] {
            let path = folder.path(&format!("{mode:o}"));
            unbound(mode).unwrap().bind(&SockAddr::unix(&path).unwrap()).unwrap();
            assert_eq!(mode_of(&path) & !mode, 0, "{mode:o}");
        }
    }

    #[test]
    fn a_file_is_known_by_what_was_told_of_it() {
        let folder = Folder::new("ids");
        let (_socket, file) = SocketFile::make(&folder.path("a.sock"), 0o600).unwrap();
        let (_other, another) = SocketFile::make(&folder.path("b.sock"), 0o600).unwrap();
        let id = FileId::parse(&file.id().to_string()).unwrap();
        assert_eq!(id, file.id());
        assert!(SocketFile::of(&folder.path("a.sock"), id).is_there());
        assert!(!SocketFile::of(&folder.path("b.sock"), id).is_there());
        assert!(id != another.id());
        for wrong in ["", "1", "1:", ":1", "1:2:3", "1:-2"] {
            assert_eq!(FileId::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_has_taken_its_place_keeps_its_mode() {
        let folder = Folder::new("strangers");
        let (path, precious) = (folder.path("a.sock"), folder.path("precious"));
        let (_socket, file) = SocketFile::make(&path, 0o600).unwrap();
        // Still there by another name, so that its number is not given away again.
        fs::rename(&path, folder.path("moved")).unwrap();
        file.set_mode(0o666).unwrap();
        fs::write(&precious, "secret").unwrap();
        fs::set_permissions(&precious, Permissions::from_mode(0o600)).unwrap();
        symlink(&precious, &path).unwrap();
        file.set_mode(0o666).unwrap();
        fs::remove_file(&path).unwrap();
        let (_other, _) = SocketFile::make(&path, 0o600).unwrap();
        file.set_mode(0o666).unwrap();
        file.unlink();
        assert_eq!([mode_of(&path), mode_of(&precious)], [0o600; 2]);
    }
}
