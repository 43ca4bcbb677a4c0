//! One server at a time sees to a path: between the look at who answers there and the moment when the new
//! socket listens, a second one would take the first for a server that is gone, and remove its file.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::inbound::socket_file::FileId;

/// What the name of the lock ends with, beside the socket.
const SUFFIX: &str = ".lock";

/// Who holds a claim needs next to no time; then it has been stopped in the middle.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everybody may lock it who reaches it.
const MODE: u32 = 0o644;

const LOOK: Duration = Duration::from_millis(5);

/// The right to see to a path, among servers that keep to this. The lock ends with the process; the file
/// goes with the claim, and one that was left behind by a process that was killed is taken as it is.
pub(crate) struct Claim {
    path: PathBuf,
    file: File,
}

impl Claim {
    /// Waits until nobody else sees to this path.
    ///
    /// # Errors
    /// There can be no file beside it, or somebody keeps the claim.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn stake(path: &Path) -> io::Result<Self> {
        Self::stake_within(path, PATIENCE)
    }

    fn stake_within(path: &Path, patience: Duration) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(SUFFIX);
        let path = PathBuf::from(name);
        let began = Instant::now();
        let mut opened = None;
        loop {
            let is_late = began.elapsed() >= patience;
            let file = match opened.take().map_or_else(|| open(&path), Ok) {
                Ok(file) => file,
                // Just made by another user, who is about to let others lock it.
                Err(Refused::Lock(error))
                    if error.kind() == io::ErrorKind::PermissionDenied && !is_late =>
                {
                    pause();
                    continue;
                }
                Err(Refused::Lock(error) | Refused::Folder(error))
                    if error.kind() == io::ErrorKind::NotFound =>
                {
                    return Err(error);
                }
                Err(Refused::Lock(error)) => {
                    let text = format!("{error} ({})", path.display());
                    return Err(io::Error::new(error.kind(), text));
                }
                Err(Refused::Folder(error)) => {
                    let folder = path.parent().filter(|folder| *folder != Path::new(""));
                    let folder = folder.unwrap_or(Path::new(".")).display();
                    let text = format!(
                        "{error}: the server needs to make files in the folder {folder}, and to remove them"
                    );
                    return Err(io::Error::new(error.kind(), text));
                }
            };
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => return Ok(Self { path, file }),
                // Who had it before has removed the file meanwhile.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if is_late => {
                    let text = format!("another server keeps {}", path.display());
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
                }
                Err(TryLockError::WouldBlock) => {
                    opened = Some(file);
                    pause();
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Before the lock: whoever waits for it will see that it is another file's.
        let _ = fs::remove_file(&self.path);
        // A process that was forked meanwhile has the file open as well.
        let _ = self.file.unlock();
    }
}

/// What cannot be opened: a lock that is there, or one that the folder does not take or show.
enum Refused {
    Lock(io::Error),
    Folder(io::Error),
}

/// Opens the lock, whoever has made it. Whatever a link leads to is none.
fn open(path: &Path) -> Result<File, Refused> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    match options.clone().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Reading is enough, except on file systems of other machines.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return options.open(path).map_err(|error| match fs::symlink_metadata(path) {
                Err(unseen) if unseen.kind() == io::ErrorKind::PermissionDenied => {
                    Refused::Folder(error)
                }
                _ => Refused::Lock(error),
            });
        }
        opened => return opened.map_err(Refused::Lock),
    }
    match options.clone().write(true).create_new(true).mode(MODE).open(path) {
        // Somebody was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.open(path).map_err(Refused::Lock)
        }
        Ok(file) => {
            // The umask may keep out even those who need no more than to lock it.
            file.set_permissions(Permissions::from_mode(MODE)).map_err(Refused::Lock)?;
            Ok(file)
        }
        failed => failed.map_err(Refused::Folder),
    }
}

#[expect(clippy::disallowed_methods, reason = "the end of a lock is no event that has a deadline")]
fn pause() {
    thread::sleep(LOOK);
}

fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path);
    file.metadata().is_ok_and(|one| there.is_ok_and(|other| FileId::of(&one) == FileId::of(&other)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pyre-claim-{name}-{}", std::process::id()))
    }

    #[test]
    fn one_at_a_time_has_it() {
        let path = path("many");
        let taken = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let claim = Claim::stake_within(&path, Duration::from_secs(60)).unwrap();
                        assert!(!taken.swap(true, Ordering::SeqCst));
                        thread::yield_now();
                        assert!(taken.swap(false, Ordering::SeqCst));
                        drop(claim);
                    }
                });
            }
        });
        let lock = PathBuf::from(format!("{}{SUFFIX}", path.display()));
        assert!(!lock.exists());
    }

    #[test]
    fn what_somebody_keeps_is_told_and_what_was_left_behind_is_taken() {
        let path = path("kept");
        let claim = Claim::stake(&path).unwrap();
        let refused = Claim::stake_within(&path, Duration::ZERO).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains(".lock"), "{refused}");
        // As by a process that was killed: the lock is gone, the file is not.
        claim.file.unlock().unwrap();
        drop(Claim::stake_within(&path, Duration::ZERO).unwrap());
        drop(claim);
    }

    #[test]
    fn a_folder_that_is_not_there() {
        let path = path("missing").join("a.sock");
        let refused = Claim::stake(&path).map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_folder_that_takes_no_files_is_no_lock_to_wait_for() {
        // Not even of root; and it is there wherever there are processes.
        let path = Path::new("/proc/a.sock");
        let hour = Duration::from_secs(3_600);
        Claim::stake_within(path, hour).map(|_| ()).expect_err("nobody makes files there");
    }
}
