//! An open file that is on its way to clients, and how it is closed without waiting.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::mpsc::{self, Sender};
use std::thread;

use parking_lot::Mutex;

/// An open file. Where its file system may be elsewhere - on a server, or in another program - closing it
/// waits for that, so a thread does it that is there for nothing else.
pub struct OpenFile {
    /// Nothing once it is dropped.
    file: Option<File>,
    is_local: bool,
}

impl OpenFile {
    /// A file, of which it is known whether calls for it wait for this machine alone.
    #[must_use]
    pub fn new(file: File, is_local: bool) -> Self {
        Self { file: Some(file), is_local }
    }

    /// Whether calls for it wait for this machine alone.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.is_local
    }
}

impl Deref for OpenFile {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("it is there until this is dropped")
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take()
            && !self.is_local
        {
            close(file);
        }
    }
}

/// The thread that closes files, once there was one to close.
static CLOSER: Mutex<Option<Sender<File>>> = Mutex::new(None);

/// Has a file closed by a thread that may wait; without one, here.
fn close(file: File) {
    let mut closer = CLOSER.lock();
    let sender = match &*closer {
        Some(sender) => sender,
        None => match begin() {
            Ok(sender) => closer.insert(sender),
            Err(_) => return,
        },
    };
    // An error gives the file back, which closes it.
    let _ = sender.send(file);
}

fn begin() -> io::Result<Sender<File>> {
    let (sender, files) = mpsc::channel();
    let close_all = move || files.into_iter().for_each(drop);
    thread::Builder::new().name("pyre-close".to_owned()).spawn(close_all)?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_closed_wherever_it_is() {
        for is_local in [true, false, false] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let file = OpenFile::new(File::from(OwnedFd::from(ours)), is_local);
            assert!(file.metadata().is_ok());
            drop(file);
            assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "it has ended");
        }
    }
}
