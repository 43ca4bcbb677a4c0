//! Linux: an epoll of its own, which has a counter and the selector.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use pyre_interp::worker::loop_lane::Bell;

use super::milliseconds;

/// What an event is said to be of.
const COUNTER: u64 = 0;
const WATCHED: u64 = 1;

/// What a loop lane sleeps on: something that is rung, beside the selector of its event loop.
pub(crate) struct LoopBell {
    epoll: OwnedFd,
    /// Counts how often it was rung, and is never read: each time is an edge of its own, of which the
    /// next wait takes note.
    counter: OwnedFd,
}

impl LoopBell {
    /// # Errors
    /// If the process has no more descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes a number.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: takes two numbers.
        let counter = owned(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        let bell = Self { epoll, counter };
        bell.add(bell.counter.as_raw_fd(), COUNTER, libc::EPOLLIN | libc::EPOLLET)?;
        Ok(bell)
    }

    fn add(&self, descriptor: RawFd, name: u64, events: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: name };
        // SAFETY: two descriptors, of which the kernel checks that they are open, and a live structure.
        let done = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &raw mut event)
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Takes what a call has made.
fn owned(made: RawFd) -> io::Result<OwnedFd> {
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

impl Bell for LoopBell {
    fn watch(&self, descriptor: i32) -> io::Result<()> {
        // Not by its edges: the event loop need not take all that its selector has to say.
        self.add(descriptor, WATCHED, libc::EPOLLIN)
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut found = [libc::epoll_event { events: 0, u64: COUNTER }; 2];
        // SAFETY: a descriptor of our own, and two live structures, as many as the call is told of.
        let count = unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), found.as_mut_ptr(), 2, milliseconds(timeout))
        };
        // A failure is an interruption by a signal: the caller looks after everything, and comes back.
        let found = &found[..usize::try_from(count).unwrap_or(0)];
        found.iter().any(|event| event.u64 == WATCHED)
    }

    fn ring(&self) {
        let once = 1_u64;
        // SAFETY: a descriptor of our own, and a live number of as many bytes as the call is told of.
        // It fails if the counter is full, after centuries.
        unsafe {
            libc::write(self.counter.as_raw_fd(), (&raw const once).cast(), size_of_val(&once))
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

    /// How often a wait is over at once.
    fn events(bell: &LoopBell) -> i32 {
        let mut found = [libc::epoll_event { events: 0, u64: 0 }; 2];
        // SAFETY: a descriptor that the bell owns, and two live structures.
        unsafe { libc::epoll_wait(bell.epoll.as_raw_fd(), found.as_mut_ptr(), 2, 0) }
    }

    #[test]
    fn each_ring_ends_one_wait() {
        let bell = LoopBell::new().unwrap();
        assert_eq!(events(&bell), 0);
        for _ in 0..3 {
            bell.ring();
            bell.ring();
            assert_eq!(events(&bell), 1);
            assert_eq!(events(&bell), 0);
        }
    }

    #[test]
    fn what_is_watched_is_told_until_it_has_been_read() {
        let bell = LoopBell::new().unwrap();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        bell.watch(near.as_raw_fd()).unwrap();
        assert!(!bell.wait(NOT_AT_ALL));
        far.write_all(b"ab").unwrap();
        bell.ring();
        let mut byte = [0];
        for _ in 0..2 {
            assert!(bell.wait(NOT_AT_ALL));
            near.read_exact(&mut byte).unwrap();
        }
        assert!(!bell.wait(NOT_AT_ALL));
    }

    #[test]
    fn what_cannot_be_watched_is_an_error() {
        assert!(LoopBell::new().unwrap().watch(-1).is_err());
    }
}
