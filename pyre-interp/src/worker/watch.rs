//! What a lane runs at this moment, for those who watch it from outside. Hot path.
//!
//! A lane says so with plain stores to a cache line of its own and never reads a clock: the monitor
//! looks now and then, and measures for how long it has seen the same piece of work. Interrupting is
//! done by a thread that is attached to the lane's interpreter, so that the lane cannot go on
//! meanwhile.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use pyre_ffi::ThreadId;

use crate::job::{RouteId, Target};

/// What a piece of work belongs to that is no request: callbacks of an event loop, and what requests
/// have left to be done.
const NO_TARGET: u32 = u32::MAX;

/// The fallback handler.
const FALLBACK: u32 = u32::MAX - 1;

/// Another lane has taken its place.
const REPLACED: u8 = 1;

/// The server ends without what it still runs.
const GIVEN_UP: u8 = 2;

/// One lane, seen from outside.
///
/// # Threads
/// The lane writes `piece`, `target` and what its thread is; all others only read them.
#[derive(Default)]
#[repr(align(128))]
pub struct Watch {
    /// Pieces of work begun and ended: odd while one runs.
    piece: AtomicU64,
    /// What it belongs to.
    target: AtomicU32,
    /// The lane's thread, as Python knows it; 0 before the lane runs.
    ident: AtomicU64,
    state: AtomicI64,
    /// The piece that was interrupted last.
    interrupted: AtomicU64,
    /// Why the lane is to stop between two calls: `REPLACED`, `GIVEN_UP`, or both.
    recall: AtomicU8,
}

/// A piece of work, as seen at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Its number, which no other piece of the lane has.
    pub number: u64,
    /// The request's handler, if it belongs to a request.
    pub target: Option<Target>,
}

impl Watch {
    /// The lane runs on this thread.
    pub(crate) fn settle(&self, thread: ThreadId) {
        self.ident.store(thread.ident, Relaxed);
        self.state.store(thread.state, Relaxed);
    }

    /// A piece of work begins.
    #[inline]
    pub(crate) fn begin(&self, target: Target) {
        let target = match target {
            Target::Route(RouteId(route)) => route,
            // No lane runs anything for files.
            Target::Fallback | Target::Files(_) => FALLBACK,
        };
        self.enter(target);
    }

    /// Work begins that belongs to no request.
    pub fn begin_callbacks(&self) {
        self.enter(NO_TARGET);
    }

    #[inline]
    fn enter(&self, target: u32) {
        self.target.store(target, Relaxed);
        // To the next odd number, whether or not the last piece has ended.
        let piece = self.piece.load(Relaxed);
        self.piece.store((piece + 1) | 1, Relaxed);
    }

    /// The piece has ended. Tells whether it was interrupted: then an exception may still be on its
    /// way to this thread, and has to be withdrawn.
    #[inline]
    pub(crate) fn end(&self) -> bool {
        let piece = self.piece.load(Relaxed);
        self.piece.store((piece + 1) & !1, Relaxed);
        self.interrupted.load(Relaxed) == piece
    }

    /// What the lane runs, if anything.
    #[must_use]
    pub fn piece(&self) -> Option<Piece> {
        let number = self.piece.load(Relaxed);
        if number & 1 == 0 {
            return None;
        }
        let target = match self.target.load(Relaxed) {
            NO_TARGET => None,
            FALLBACK => Some(Target::Fallback),
            route => Some(Target::Route(RouteId(route))),
        };
        Some(Piece { number, target })
    }

    /// How many pieces of work the lane has begun and ended.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.piece.load(Relaxed)
    }

    /// Whom to interrupt: the lane's thread, if it still runs this piece. Notes that it was done.
    ///
    /// # Threads
    /// Only for a thread that is attached to the lane's interpreter: what is seen then stays so until
    /// the thread detaches.
    pub fn interrupt(&self, piece: u64) -> Option<ThreadId> {
        if self.piece.load(Relaxed) != piece {
            return None;
        }
        self.interrupted.store(piece, Relaxed);
        Some(self.thread())
    }

    /// The lane's thread.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        ThreadId { ident: self.ident.load(Relaxed), state: self.state.load(Relaxed) }
    }

    /// Another lane takes this one's place: it retires when it comes back.
    pub fn replace(&self) {
        self.recall.fetch_or(REPLACED, Relaxed);
    }

    /// The server ends without what still runs: nothing more is to be begun.
    pub fn give_up(&self) {
        self.recall.fetch_or(GIVEN_UP, Relaxed);
    }

    /// Whether another lane has taken this one's place, asked once.
    #[inline]
    pub(crate) fn take_replaced(&self) -> bool {
        self.recall.load(Relaxed) & REPLACED != 0
            && self.recall.fetch_and(!REPLACED, Relaxed) & REPLACED != 0
    }

    /// Whether what the lane has in hand is to go back as it is, between two calls.
    #[must_use]
    pub fn is_recalled(&self) -> bool {
        self.recall.load(Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_a_number_of_its_own_until_it_ends() {
        let watch = Watch::default();
        assert_eq!(watch.piece(), None);
        watch.begin(Target::Fallback);
        let first = watch.piece().unwrap();
        assert_eq!(first.target, Some(Target::Fallback));
        assert!(!watch.end());
        assert_eq!(watch.piece(), None);
        watch.begin(Target::Route(RouteId(7)));
        let second = watch.piece().unwrap();
        assert_ne!(first.number, second.number);
        // One piece may follow another without a pause.
        watch.begin_callbacks();
        let third = watch.piece().unwrap();
        assert_eq!(third.target, None);
        assert_ne!(second.number, third.number);
    }

    #[test]
    fn only_the_piece_that_runs_is_interrupted() {
        let watch = Watch::default();
        let thread = ThreadId { ident: 42, state: 7 };
        watch.settle(thread);
        watch.begin(Target::Fallback);
        let piece = watch.piece().unwrap().number;
        assert_eq!(watch.interrupt(piece), Some(thread));
        assert!(watch.end());
        assert_eq!(watch.interrupt(piece), None);
        watch.begin(Target::Fallback);
        assert!(!watch.end());
    }

    #[test]
    fn a_lane_learns_once_that_it_was_replaced() {
        let watch = Watch::default();
        assert!(!watch.take_replaced());
        watch.replace();
        assert!(watch.is_recalled() && watch.take_replaced());
        assert!(!watch.is_recalled() && !watch.take_replaced());
        // That stays so, and is no reason to retire.
        watch.give_up();
        assert!(watch.is_recalled() && !watch.take_replaced() && watch.is_recalled());
    }
}
