//! Where there is no epoll: a pair of sockets, and poll over one of them and the selector.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use pyre_interp::worker::loop_lane::Bell;

use super::milliseconds;

/// What a loop lane sleeps on: something that is rung, beside the selector of its event loop.
pub(crate) struct LoopBell {
    /// Readable once it was rung.
    listening: OwnedFd,
    /// Where it is rung.
    ringing: OwnedFd,
    /// The selector.
    watched: AtomicI32,
}

impl LoopBell {
    /// # Errors
    /// If the process has no more descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let (listening, ringing) = UnixStream::pair()?;
        listening.set_nonblocking(true)?;
        ringing.set_nonblocking(true)?;
        // poll passes over what is negative.
        let watched = AtomicI32::new(-1);
        Ok(Self { listening: listening.into(), ringing: ringing.into(), watched })
    }

    /// Forgets that it was rung.
    fn quieten(&self) {
        let mut rung = [0_u8; 64];
        loop {
            // SAFETY: a descriptor of our own, and as many bytes of ours as the call is told of.
            let read = unsafe {
                libc::read(self.listening.as_raw_fd(), rung.as_mut_ptr().cast(), rung.len())
            };
            // There may be more than there was room for. A failure says that there was nothing.
            if usize::try_from(read) != Ok(rung.len()) {
                return;
            }
        }
    }
}

impl Bell for LoopBell {
    fn watch(&self, descriptor: i32) -> io::Result<()> {
        // Read by the thread that has written it.
        self.watched.store(descriptor, Ordering::Relaxed);
        Ok(())
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let watched = self.watched.load(Ordering::Relaxed);
        let mut polled = [poll(self.listening.as_raw_fd()), poll(watched)];
        // SAFETY: two live structures, as many as the call is told of.
        let found = unsafe { libc::poll(polled.as_mut_ptr(), 2, milliseconds(timeout)) };
        // A failure is an interruption by a signal, or the system's want of memory: the caller looks
        // after everything, and comes back.
        if found > 0 && polled[0].revents != 0 {
            self.quieten();
        }
        found > 0 && polled[1].revents != 0
    }

    fn ring(&self) {
        let once = [1_u8];
        // SAFETY: a descriptor of our own, and as many bytes of ours as the call is told of. A failure
        // says that it was rung so often that there is no room for more.
        unsafe { libc::write(self.ringing.as_raw_fd(), once.as_ptr().cast(), once.len()) };
    }
}
