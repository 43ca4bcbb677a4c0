//! What the thread of an event loop sleeps on.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use pyre_interp::worker::loop_lane::Bell;

/// What a loop lane sleeps on: something that is rung, beside the selector of its event loop.
pub(crate) struct LoopBell {
    /// Readable once it was rung.
    listening: OwnedFd,
    /// Where it is rung, if that is another end.
    ringing: Option<OwnedFd>,
}

impl LoopBell {
    /// # Errors
    /// If the process has no more descriptors.
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes two numbers.
        let counter = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if counter < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was made on the lines above and belongs to nobody else.
        let listening = unsafe { OwnedFd::from_raw_fd(counter) };
        Ok(Self { listening, ringing: None })
    }

    /// # Errors
    /// If the process has no more descriptors.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> io::Result<Self> {
        let (listening, ringing) = std::os::unix::net::UnixStream::pair()?;
        listening.set_nonblocking(true)?;
        ringing.set_nonblocking(true)?;
        Ok(Self { listening: listening.into(), ringing: Some(ringing.into()) })
    }

    /// Forgets that it was rung.
    fn quieten(&self) {
        let mut rung = [0_u64; 8];
        let room = size_of_val(&rung);
        loop {
            // SAFETY: a descriptor of our own, and as many bytes of ours as the call is told of.
            let read =
                unsafe { libc::read(self.listening.as_raw_fd(), rung.as_mut_ptr().cast(), room) };
            // An eventfd gives its whole count at once; a socket may hold more than there was room
            // for. A failure says that there was nothing.
            if usize::try_from(read).is_ok_and(|read| read == room) {
                continue;
            }
            return;
        }
    }
}

impl Bell for LoopBell {
    fn wait(&self, descriptor: i32, timeout: Option<Duration>) -> bool {
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut polled = [poll(self.listening.as_raw_fd()), poll(descriptor)];
        // Rounded up, as asyncio does: a timer is due when the wait is over.
        let milliseconds = timeout.map_or(-1, |timeout| {
            i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        // SAFETY: two live structures, as many as the call is told of.
        let found = unsafe { libc::poll(polled.as_mut_ptr(), 2, milliseconds) };
        // A failure is an interruption by a signal, or the system's want of memory: the caller looks
        // after everything, and comes back.
        if found > 0 && polled[0].revents != 0 {
            self.quieten();
        }
        found > 0 && polled[1].revents != 0
    }

    fn ring(&self) {
        let once = 1_u64;
        let end = self.ringing.as_ref().unwrap_or(&self.listening).as_raw_fd();
        // SAFETY: a descriptor of our own, and a live number of as many bytes as the call is told of.
        // A failure says that it was rung so often that it has no room for more.
        unsafe { libc::write(end, (&raw const once).cast(), size_of_val(&once)) };
    }
}
