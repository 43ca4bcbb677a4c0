//! Standard output and standard error. All that this process itself has to say goes there by way of
//! this file, and by three rules: a write that fails is a message lost and nothing else; only threads
//! that exist for it may wait for a reader; and nobody waits for one that has stopped reading.
//!
//! Standard error is written by the thread of the log (`writer`), standard output by a thread for
//! each piece: there is little of it. One of them at a time writes to a stream, and only that one waits
//! for its reader.

use std::io;
use std::os::fd::RawFd;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::log::of_process::OfProcess;
use crate::log::writer;
use crate::sys;

/// The most that a pipe takes as one piece, beside what other processes write to it.
const PIECE_BYTES_MAX: usize = libc::PIPE_BUF;

/// Who has taken nothing for so long does not read any more, as far as those care who wait for it.
const STALLED_NS: u64 = 1_000_000_000;

/// A standard stream of this process.
pub(crate) struct Stream {
    number: RawFd,
    /// What is open under this number is something else: nothing of ours may go there.
    absent: AtomicBool,
    /// The last write has ended in the middle of a line.
    cut: AtomicBool,
    turns: OfProcess<Turns>,
}

/// Who writes to a stream.
#[derive(Default)]
struct Turns {
    taken: Mutex<bool>,
    over: Condvar,
    /// When who writes has begun, or got something taken last; 0: nobody writes. Set by that one only.
    waits_since_ns: AtomicU64,
}

/// The right to write, until it is dropped.
struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits until nobody else writes, at most until then; no moment means for ever.
    fn take(&self, moment: Option<Instant>) -> Option<Turn<'_>> {
        let mut taken = self.taken.lock();
        while *taken {
            match moment {
                Some(moment) if self.over.wait_until(&mut taken, moment).timed_out() => break,
                Some(_) => {}
                None => self.over.wait(&mut taken),
            }
        }
        // Made only if it is this caller's: its end would be the end of another's.
        (!std::mem::replace(&mut *taken, true)).then(|| Turn(self))
    }
}

impl Turn<'_> {
    /// Notes that whoever reads has taken something just now.
    fn goes_on(&self) {
        self.0.waits_since_ns.store(sys::monotonic_ns(), Ordering::Relaxed);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.waits_since_ns.store(0, Ordering::Relaxed);
        *self.0.taken.lock() = false;
        self.0.over.notify_one();
    }
}

pub(crate) static OUTPUT: Stream = Stream::new(1);
pub(crate) static ERROR: Stream = Stream::new(2);

/// The stream of a descriptor, if it is one to write to.
pub(crate) fn of(number: i64) -> Option<&'static Stream> {
    [&OUTPUT, &ERROR].into_iter().find(|stream| i64::from(stream.number) == number)
}

// Relaxed everywhere: single facts, which nothing else is read by.
impl Stream {
    const fn new(number: RawFd) -> Self {
        let (absent, cut) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { number, absent, cut, turns: OfProcess::new() }
    }

    /// Notes that something else is open under this number.
    pub(crate) fn disown(&self) {
        self.absent.store(true, Ordering::Relaxed);
    }

    /// Whether something else is open under this number.
    pub(crate) fn is_absent(&self) -> bool {
        self.absent.load(Ordering::Relaxed)
    }

    /// Writes text, in pieces that end with a line and that a pipe takes whole. Returns whether all of it
    /// was taken.
    ///
    /// # Threads
    /// May wait for the reader for ever.
    pub(crate) fn write(&self, text: &[u8]) -> bool {
        let turn = self.turns.get().take(None);
        turn.is_some_and(|turn| self.write_in_turn(&turn, text))
    }

    fn write_in_turn(&self, turn: &Turn<'_>, mut text: &[u8]) -> bool {
        turn.goes_on();
        let mut whole = !self.is_absent();
        while whole && !text.is_empty() {
            let (piece, rest) = text.split_at(piece_of(text));
            whole = self.write_piece(turn, piece);
            text = rest;
        }
        whole
    }

    fn write_piece(&self, turn: &Turn<'_>, piece: &[u8]) -> bool {
        // What was cut off stays a line of its own.
        let was_cut = self.cut.swap(false, Ordering::Relaxed);
        if was_cut && self.write_bytes(turn, b"\n") < 1 {
            self.cut.store(true, Ordering::Relaxed);
            return false;
        }
        let written = self.write_bytes(turn, piece);
        if written < piece.len() {
            self.cut.store(written > 0, Ordering::Relaxed);
        }
        written == piece.len()
    }

    /// Writes bytes until it fails; returns how many were taken.
    fn write_bytes(&self, turn: &Turn<'_>, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match sys::write(self.number, &bytes[written..]) {
                Ok(0) => break,
                Ok(count) => {
                    written += count;
                    turn.goes_on();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody who shares the stream has made it one that does not wait.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sys::wait_writable(self.number, None);
                }
                Err(_) => break,
            }
        }
        written
    }

    /// Whether the reader has taken nothing for so long that nobody should wait for it.
    pub(crate) fn is_stalled(&self) -> bool {
        let turns = self.turns.get_if_used();
        let since_ns = turns.map_or(0, |turns| turns.waits_since_ns.load(Ordering::Relaxed));
        since_ns != 0 && sys::monotonic_ns().saturating_sub(since_ns) >= STALLED_NS
    }

    /// Writes bytes on a thread of their own and waits at most so long for that. Returns whether all were
    /// taken.
    pub(crate) fn write_within(&'static self, bytes: Vec<u8>, patience: Duration) -> bool {
        if self.is_stalled() {
            return false;
        }
        // A time beyond all moments is for ever.
        let moment = Instant::now().checked_add(patience);
        // Nobody waits in vain for the reader that somebody else waits for already.
        let Some(turn) = self.turns.get().take(moment) else { return false };
        let (done, answer) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("pyre-output".to_owned());
        let bytes = Arc::new(bytes);
        let theirs = bytes.clone();
        let started = thread.spawn(move || {
            sys::block_broken_pipe_signal();
            // Whoever waits may have given up.
            let _ = done.send(self.write_in_turn(&turn, &theirs));
        });
        match started {
            Ok(_) => {
                let left = moment.map(|moment| moment.saturating_duration_since(Instant::now()));
                answer.recv_timeout(left.unwrap_or(Duration::MAX)).unwrap_or(false)
            }
            Err(_) => self.write_at_once(&bytes),
        }
    }

    /// Writes text if its reader is sure to take it: for a thread that must not wait.
    pub(crate) fn write_at_once(&self, text: &[u8]) -> bool {
        let turn = self.turns.get().take(Some(Instant::now()));
        turn.is_some_and(|turn| self.takes_at_once() && self.write_in_turn(&turn, text))
    }

    /// Whether a reader is there, and takes something within this time.
    ///
    /// # Threads
    /// Blocks the caller so long.
    pub(crate) fn takes(&self, patience: Duration) -> bool {
        !self.is_absent() && sys::wait_writable(self.number, Some(patience))
    }

    /// Whether some kilobytes would be taken at once, whatever the reader does. Says no when in doubt.
    pub(crate) fn takes_at_once(&self) -> bool {
        // A pipe is writable as soon as it has room for one piece. Its buffers may be half empty, but no
        // less: with a quarter of it in use, half is free.
        let is_roomy = sys::pipe_bytes(self.number)
            .is_none_or(|size| sys::received_bytes(&self.number) <= size / 4);
        is_roomy && self.takes(Duration::ZERO)
    }
}

/// How many bytes of a text to write at a time: whole lines, as many as go into one piece, or one.
fn piece_of(text: &[u8]) -> usize {
    let first = &text[..text.len().min(PIECE_BYTES_MAX)];
    let end = memchr::memrchr(b'\n', first).or_else(|| memchr::memchr(b'\n', text));
    end.map_or(text.len(), |end| end + 1)
}

/// Has panics told by way of the log. The hook of the standard library would write to standard error
/// itself, and wait for its reader.
pub(crate) fn tell_of_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|panicked| {
            let thread = thread::current();
            let name = thread.name().unwrap_or("<unnamed>");
            writer::say("CRITICAL", "", &format!("thread '{name}' {panicked}"));
            // It may be the last that this process says.
            writer::flush(Duration::from_millis(100));
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;

    use super::*;

    fn stream(to: &impl AsRawFd) -> Stream {
        Stream::new(to.as_raw_fd())
    }

    #[test]
    fn pieces_end_with_a_line() {
        for (text, expected) in [("a", 1), ("a\n", 2), ("a\nb\nc", 4)] {
            assert_eq!(piece_of(text.as_bytes()), expected, "{text:?}");
        }
        let long = "x".repeat(PIECE_BYTES_MAX);
        assert_eq!(piece_of(format!("{long}x\ny\n").as_bytes()), PIECE_BYTES_MAX + 2);
        assert_eq!(piece_of(format!("a\n{long}\nb\n").as_bytes()), 2);
    }

    #[test]
    fn what_is_written_arrives() {
        let (mut reader, writer) = io::pipe().unwrap();
        let lines = "line\n".repeat(3000);
        assert!(stream(&writer).write(lines.as_bytes()));
        drop(writer);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, lines);
    }

    #[test]
    fn a_reader_that_has_gone_costs_the_message() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let stream = stream(&writer);
        assert!(!stream.write(b"a\n") && !stream.takes(Duration::ZERO));
        assert!(!stream.takes_at_once() && !stream.is_stalled());
    }

    #[test]
    fn a_full_pipe_takes_nothing() {
        let (_reader, writer) = io::pipe().unwrap();
        let stream = stream(&writer);
        assert!(stream.takes_at_once());
        let size = sys::pipe_bytes(writer.as_raw_fd()).unwrap();
        assert!(stream.write(&vec![b'x'; size / 2]));
        assert!(stream.takes(Duration::ZERO) && !stream.takes_at_once());
        assert!(stream.write(&vec![b'x'; size / 2]));
        assert!(!stream.takes(Duration::from_millis(1)));
    }

    #[test]
    fn what_is_no_stream_of_ours_gets_nothing() {
        let (_reader, writer) = io::pipe().unwrap();
        let stream = stream(&writer);
        stream.disown();
        assert!(!stream.write(b"a\n") && !stream.takes(Duration::ZERO));
        assert_eq!(sys::received_bytes(&writer), 0);
    }

    #[test]
    fn what_was_cut_off_stays_a_line_of_its_own() {
        let (mut reader, writer) = io::pipe().unwrap();
        let stream = stream(&writer);
        stream.cut.store(true, Ordering::Relaxed);
        assert!(stream.write(b"whole\n"));
        drop(writer);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "\nwhole\n");
    }
}
