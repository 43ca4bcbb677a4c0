//! Files below a folder: opening them so that no link leads out, reading what is in memory already,
//! sending them without a copy.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a call may wait for a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// It fails with `WouldBlock` rather.
    Now,
    Wait,
}

/// What every open of ours has: of a FIFO it returns at once, a terminal does not become ours, and programs
/// that this process starts do not inherit it.
const FLAGS: libc::c_int = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;

/// How often a look-up is repeated that something else in the folder has disturbed.
#[cfg(target_os = "linux")]
const ATTEMPTS_MAX: usize = 16;

/// Opens a folder, whatever links lead there.
///
/// # Errors
/// What the system reports; `WouldBlock` if it would have to wait, or that cannot be known.
pub(crate) fn open_folder(path: &Path, patience: Patience) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = FOLDER | libc::O_CLOEXEC;
    match open_with(libc::AT_FDCWD, &path, flags, Links::Anywhere, patience) {
        Err(error) if is_missing_call(&error) => match patience {
            Patience::Now => Err(io::ErrorKind::WouldBlock.into()),
            Patience::Wait => open_at(libc::AT_FDCWD, &path, flags),
        },
        opened => opened,
    }
}

/// Opens what a folder has under a name, which has no empty segment, no `.` and no `..`. Unless links may
/// lead `anywhere`, those count that stay below the folder; on a system without `openat2`, none.
///
/// # Errors
/// What the system reports; `WouldBlock` if it would have to wait, or that cannot be known.
pub(crate) fn open_below(
    folder: &OwnedFd,
    name: &[u8],
    anywhere: bool,
    patience: Patience,
) -> io::Result<File> {
    let path = CString::new(name)?;
    let links = if anywhere { Links::Anywhere } else { Links::Below };
    let opened = match open_with(folder.as_raw_fd(), &path, FLAGS, links, patience) {
        Err(error) if is_missing_call(&error) => match patience {
            Patience::Now => Err(io::ErrorKind::WouldBlock.into()),
            Patience::Wait if anywhere => open_at(folder.as_raw_fd(), &path, FLAGS),
            Patience::Wait => walk(folder, name),
        },
        opened => opened,
    };
    opened.map(File::from)
}

/// A folder that is only gone through.
#[cfg(target_os = "linux")]
const FOLDER: libc::c_int = libc::O_PATH | libc::O_DIRECTORY;
#[cfg(not(target_os = "linux"))]
const FOLDER: libc::c_int = libc::O_RDONLY | libc::O_DIRECTORY;

/// Opens a name segment by segment, none of which may be a link.
fn walk(folder: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let mut segments = name.split(|&byte| byte == b'/').peekable();
    let mut inside: Option<OwnedFd> = None;
    while let Some(segment) = segments.next() {
        let segment = CString::new(segment)?;
        let at = inside.as_ref().unwrap_or(folder).as_raw_fd();
        if segments.peek().is_none() {
            return open_at(at, &segment, FLAGS | libc::O_NOFOLLOW);
        }
        let flags = FOLDER | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        inside = Some(open_at(at, &segment, flags)?);
    }
    Err(io::ErrorKind::NotFound.into())
}

fn open_at(folder: RawFd, path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a text with its end, and plain numbers; of a descriptor that is no folder the kernel says so.
    let opened = unsafe { libc::openat(folder, path.as_ptr(), flags) };
    owned(opened)
}

fn owned(opened: RawFd) -> io::Result<OwnedFd> {
    if opened < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// Where links may lead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Below,
    Anywhere,
}

/// The kernel has no `openat2`.
static IS_MISSING: AtomicBool = AtomicBool::new(false);

/// Whether it was the call itself that is not there, or that a container forbids.
fn is_missing_call(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            // Relaxed: a hint; whoever does not see it asks the kernel again.
            IS_MISSING.store(true, Ordering::Relaxed);
            true
        }
        error => error == Some(libc::EPERM),
    }
}

#[cfg(target_os = "linux")]
fn open_with(
    folder: RawFd,
    path: &CStr,
    flags: libc::c_int,
    links: Links,
    patience: Patience,
) -> io::Result<OwnedFd> {
    if IS_MISSING.load(Ordering::Relaxed) {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    #[cfg(test)]
    if cold::is_pretended() && patience == Patience::Now {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let below = if links == Links::Below { libc::RESOLVE_BENEATH } else { 0 };
    // What lies on another file system below a folder is not for those who know of the folder's alone.
    let is_below = folder != libc::AT_FDCWD;
    let cached = match patience {
        Patience::Now if is_below => libc::RESOLVE_CACHED | libc::RESOLVE_NO_XDEV,
        Patience::Now => libc::RESOLVE_CACHED,
        Patience::Wait => 0,
    };
    // SAFETY: all zeroes is a value of this plain C structure, which asks for nothing.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = flags as u64;
    how.resolve = libc::RESOLVE_NO_MAGICLINKS | below | cached;
    for _ in 0..ATTEMPTS_MAX {
        // SAFETY: a text with its end, and one live structure of the size that the call is told of.
        let opened = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                folder,
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        let error = match owned(opened as RawFd) {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        match (error.raw_os_error(), patience) {
            // Kernels before 5.12 do not know of look-ups that wait for nothing.
            // And which of two things led elsewhere, a link or a mount, is found by those who may wait.
            (Some(libc::EINVAL | libc::EXDEV), Patience::Now) => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            // Something was moved meanwhile, so that it was not clear whether this leads out; or another
            // program has a lease of the file, which it gives up now.
            (Some(libc::EAGAIN | libc::EINTR), Patience::Wait) => {}
            _ => return Err(error),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(not(target_os = "linux"))]
fn open_with(
    _folder: RawFd,
    _path: &CStr,
    _flags: libc::c_int,
    _links: Links,
    _patience: Patience,
) -> io::Result<OwnedFd> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// Reads from a place of a file what is in memory already.
///
/// # Errors
/// `WouldBlock` if it is not, or that cannot be known.
#[cfg(target_os = "linux")]
pub(crate) fn read_now(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    #[cfg(test)]
    if cold::is_pretended() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let at = i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: one structure, which names a live buffer and its length.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, at, libc::RWF_NOWAIT) };
    usize::try_from(read).map_err(|_| as_told_by_a_read(io::Error::last_os_error()))
}

/// What an error of a read that must not wait means: not every file system, kernel and container tells what
/// is in memory, and then somebody has to read who may wait.
#[cfg(target_os = "linux")]
fn as_told_by_a_read(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM | libc::EINVAL) => {
            io::ErrorKind::WouldBlock.into()
        }
        _ => error,
    }
}

/// That is not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_now(_file: &File, _buffer: &mut [u8], _at: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Sends a part of a file; tells how many bytes, 0 if it ends there. A peer that has gone is an error and no
/// signal, whatever the program has set for SIGPIPE.
///
/// # Errors
/// What the system reports; `WouldBlock` if the socket takes nothing now.
#[cfg(target_os = "linux")]
pub(crate) fn send_file(
    socket: &impl AsRawFd,
    file: &File,
    at: u64,
    bytes: usize,
) -> io::Result<usize> {
    let mut at = i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
    super::without_broken_pipe_signal(|| {
        // SAFETY: two open descriptors, and one live number that the kernel changes.
        let sent =
            unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut at, bytes) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    })
}

/// As on Linux, by way of a buffer.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send_file(
    socket: &impl AsRawFd,
    file: &File,
    at: u64,
    bytes: usize,
) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;

    let mut buffer = [0; 16 * 1024];
    let room = bytes.min(buffer.len());
    let read = file.read_at(&mut buffer[..room], at)?;
    super::without_broken_pipe_signal(|| super::write(socket.as_raw_fd(), &buffer[..read]))
}

/// A disk whose files are not in memory, as far as one thread is told.
#[cfg(test)]
pub(crate) mod cold {
    use std::cell::Cell;

    thread_local! {
        static IS_PRETENDED: Cell<bool> = const { Cell::new(false) };
    }

    /// Has this thread find nothing in memory, or no longer.
    pub(crate) fn pretend(is_cold: bool) {
        IS_PRETENDED.set(is_cold);
    }

    pub(super) fn is_pretended() -> bool {
        IS_PRETENDED.get()
    }
}

/// Has a socket take nothing from files: the kernel has no such call for one that appends.
#[cfg(test)]
pub(crate) fn refuse_files(socket: &impl AsRawFd) {
    // SAFETY: plain numbers; of what is no descriptor the kernel says so.
    let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) };
    // SAFETY: as above.
    let set = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, flags | libc::O_APPEND) };
    assert_eq!(set, 0);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// A folder with a root in it, and a secret beside that.
    fn tree(name: &str) -> (PathBuf, OwnedFd) {
        let folder = std::env::temp_dir().join(format!("pyre-files-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let root = folder.join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(folder.join("secret"), "secret").unwrap();
        fs::write(root.join("a/b/c"), "c").unwrap();
        symlink("b/c", root.join("a/inside")).unwrap();
        symlink("../../secret", root.join("a/outside")).unwrap();
        symlink(folder.join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("a", root.join("folder")).unwrap();
        let opened = open_folder(&root, Patience::Wait).unwrap();
        (folder, opened)
    }

    fn read(opened: io::Result<File>) -> Option<String> {
        opened.ok().map(|file| io::read_to_string(file).unwrap())
    }

    #[test]
    fn no_link_leads_out_unless_it_may() {
        let (folder, root) = tree("links");
        let below = |name: &[u8]| read(open_below(&root, name, false, Patience::Wait));
        let anywhere = |name: &[u8]| read(open_below(&root, name, true, Patience::Wait));
        let stepwise = |name: &[u8]| read(walk(&root, name).map(File::from));
        for (name, is_below, is_anywhere, is_stepwise) in [
            (&b"a/b/c"[..], true, true, true),
            (b"a/inside", true, true, false),
            (b"folder/b/c", true, true, false),
            (b"a/outside", false, true, false),
            (b"absolute", false, true, false),
            (b"up/secret", false, true, false),
            (b"a/none", false, false, false),
        ] {
            let name_text = str::from_utf8(name).unwrap();
            assert_eq!(
                below(name).is_some(),
                is_below || IS_MISSING.load(Ordering::Relaxed) && is_stepwise,
                "{name_text}"
            );
            assert_eq!(anywhere(name).is_some(), is_anywhere, "{name_text}");
            assert_eq!(stepwise(name).is_some(), is_stepwise, "{name_text}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_fifo_holds_nobody_up() {
        let (folder, root) = tree("fifo");
        let path = CString::new(folder.join("root/fifo").as_os_str().as_bytes()).unwrap();
        // SAFETY: a text with its end, and a plain number.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        let file = open_below(&root, b"fifo", false, Patience::Wait).unwrap();
        assert!(!file.metadata().unwrap().is_file());
        assert!(walk(&root, b"fifo").is_ok());
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_system_that_does_not_tell_what_is_in_memory_has_others_read() {
        for (number, expected) in [
            (libc::EOPNOTSUPP, io::ErrorKind::WouldBlock),
            (libc::EAGAIN, io::ErrorKind::WouldBlock),
            (libc::ENOSYS, io::ErrorKind::WouldBlock),
            (libc::EPERM, io::ErrorKind::WouldBlock),
            (libc::EINVAL, io::ErrorKind::WouldBlock),
            (libc::ENOENT, io::ErrorKind::NotFound),
        ] {
            let error = as_told_by_a_read(io::Error::from_raw_os_error(number));
            assert_eq!(error.kind(), expected, "{number}");
        }
    }

    #[test]
    fn what_is_in_memory_is_read_at_once() {
        let (folder, root) = tree("memory");
        let file = open_below(&root, b"a/b/c", false, Patience::Wait).unwrap();
        let mut buffer = [0; 4];
        match read_now(&file, &mut buffer, 0) {
            Ok(read) => assert_eq!(&buffer[..read], b"c"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
