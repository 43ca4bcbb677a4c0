//! A lane's place in the roster: what the lane itself says of its state, and how it sleeps. Step 6.
//! Hot path.

use super::{HERE, RECALLED, RETIRED, Roster, TAKEN, Waker};
use crate::ring::{
    states::States,
    sync::{Site, fence, order, thread},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
};

/// What [`LaneSeat::block`] ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// A reactor called this lane: look for work.
    Called,
    /// A reactor was offered, and this lane is to carry it.
    Chosen,
    /// The roster was closed: look for work a last time, then leave.
    Closed,
}

/// A lane's place in the roster. Dropped, the lane is gone for good.
///
/// The lane's loop: pop; on a message [`Self::took`], run it. On none [`Self::announce`] and look
/// again; on a message [`Self::cancel`] and go on, on none let go of the interpreter and
/// [`Self::block`]. A lane that either of these tells that it was chosen accepts what is offered, and
/// if it gets it says [`Self::begin_carrying`]; in any case it ends with [`Self::look`].
///
/// # Threads
/// May be sent, but belongs to one thread from the first [`Self::announce`] on.
pub struct LaneSeat {
    pub(super) roster: Arc<Roster>,
    pub(super) lane: u32,
}

impl LaneSeat {
    /// This lane has taken a message: it counts as looking, also if it was thought to be blocked.
    ///
    /// Costs a store to its own line and a load.
    #[inline]
    pub fn took(&mut self) {
        let takes = &self.roster.lanes[self.lane as usize].takes;
        // A load and a store, as nobody else writes it.
        takes.store(takes.load(Relaxed).wrapping_add(1), Relaxed);
        // Only reactors can have changed our state. If we read too early to see it, the lane counts as
        // blocked until its next message, and one lane too many may be woken.
        if !States(self.roster.states.load(Relaxed)).is_looking(self.lane) {
            self.look_again();
        }
    }

    /// This lane is about to sleep: from here on a reactor may call it. The lane must look for work
    /// after this, and then either [`Self::cancel`] or [`Self::block`].
    ///
    /// # Panics
    /// If another thread has announced itself with this seat.
    pub fn announce(&mut self) {
        self.introduce();
        self.move_to(States::park);
        // Pairs with the fence in `Roster::notify`.
        fence(Site::RosterAnnounced);
    }

    /// There was something to do after [`Self::announce`]: the lane looks on. Unless it was chosen
    /// since, and has to carry a reactor first; or it is the reserve, and stays parked: then the
    /// answer is none.
    pub fn cancel(&mut self) -> Option<Rest> {
        // As in `move_to`.
        let released = order(Site::RosterMoved, Release);
        let mut states = States(self.roster.states.load(Relaxed));
        loop {
            let is_last = states.parked() == 1 << self.lane;
            if is_last && self.roster.reserve() > 0 && !self.is_closed() {
                return None;
            }
            let next = states.look(self.lane).0;
            match self.roster.states.compare_exchange_weak(states.0, next, released, Relaxed) {
                Ok(_) if states.is_free(self.lane) => return Some(Rest::Called),
                Ok(_) => {
                    // Pairs with the fence in `Roster::choose`: we see what was offered.
                    fence(Site::RosterAnswered);
                    return Some(Rest::Chosen);
                }
                Err(now) => states = States(now),
            }
        }
    }

    /// Whether this lane, which looks, is to park before it takes anything, as no reserve is left.
    #[inline]
    pub fn steps_aside(&self) -> bool {
        self.roster.reserve() > 0 && !self.roster.has_parked() && !self.is_closed()
    }

    /// This lane has a reactor to carry. What it was relied on to find falls to another.
    pub fn begin_carrying(&mut self) {
        self.roster.carrying.store(TAKEN, Relaxed);
        self.move_to(States::leave);
        self.roster.notify();
    }

    /// This lane looks again: it has no reactor any more, or is one that nobody chooses.
    pub fn look(&mut self) {
        self.move_to(States::look);
    }

    /// Sleeps until this lane is called or chosen, or the roster is closed. Returns at once if that has
    /// happened since [`Self::announce`]. The interpreter must have been let go.
    pub fn block(&mut self) -> Rest {
        loop {
            // Pairs with the fences in `Roster::notify` and `Roster::choose`: we see what we were called
            // or chosen for.
            let states = States(self.roster.states.load(order(Site::RosterAnswered, Acquire)));
            if !states.is_parked(self.lane) {
                return if states.is_free(self.lane) { Rest::Called } else { Rest::Chosen };
            }
            // Pairs with the Release in `Roster::close`.
            if self.roster.closed.load(Acquire) {
                self.move_to(States::look);
                return Rest::Closed;
            }
            thread::park();
        }
    }

    /// Gives the seat back if it is the last one that was given out: there is no lane for it now.
    pub fn give_back(self) {
        let (roster, lane) = (self.roster.clone(), self.lane);
        // Its state first: from then on another one may have the seat.
        drop(self);
        // Relaxed: a count, which orders nothing.
        let _ = roster.seats_given.compare_exchange(lane + 1, lane, Relaxed, Relaxed);
    }

    /// Which of the lanes this is.
    pub fn number(&self) -> usize {
        self.lane as usize
    }

    /// Whether the roster was closed: for lanes that do not [`Self::block`].
    pub fn is_closed(&self) -> bool {
        // Pairs with the Release in `Roster::close`.
        self.roster.closed.load(Acquire)
    }

    /// Leaves, as another lane has taken this one's place, and sleeps until the lane is recalled or
    /// the roster closed. The interpreter must have been let go.
    #[cold]
    pub fn retire(&mut self) -> Rest {
        self.introduce();
        self.move_to(States::leave);
        // What this lane was called for, or relied on to find, falls to another. The fence in there
        // also pairs with the one in `Roster::close`, and with the Acquire in `Roster::recall`.
        self.roster.notify();
        let retirement = &self.roster.lanes[self.lane as usize].retirement;
        retirement.store(RETIRED, Relaxed);
        let rest = loop {
            if retirement.load(Relaxed) == RECALLED {
                break Rest::Called;
            }
            if self.is_closed() {
                break Rest::Closed;
            }
            thread::park();
        };
        retirement.store(HERE, Relaxed);
        self.move_to(States::look);
        rest
    }

    /// Says how to wake this lane.
    fn introduce(&self) {
        let this = thread::current();
        let waker = &self.roster.lanes[self.lane as usize].waker;
        let known = waker.get_or_init(|| Waker::Thread(this.clone()));
        if let Waker::Thread(known) = known {
            assert_eq!(known.id(), this.id(), "a seat stays with its thread");
        }
    }

    #[cold]
    fn look_again(&self) {
        self.move_to(States::look);
    }

    /// Moves this lane to a state, whatever the others do. Returns the states before.
    pub(super) fn move_to(&self, state: fn(States, u32) -> States) -> States {
        // A reactor that sees the new state sees what this lane took, and its thread. Pairs with the
        // Acquire in `Roster::suspect` and `Roster::replace`.
        let released = order(Site::RosterMoved, Release);
        let states = &self.roster.states;
        let mut now = states.load(Relaxed);
        while let Err(newer) =
            states.compare_exchange_weak(now, state(States(now), self.lane).0, released, Relaxed)
        {
            now = newer;
        }
        States(now)
    }
}

impl Drop for LaneSeat {
    fn drop(&mut self) {
        self.move_to(States::leave);
        // What this lane was called for, or relied on to find, falls to another.
        self.roster.notify();
    }
}

impl fmt::Debug for LaneSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneSeat").field("lane", &self.lane).finish_non_exhaustive()
    }
}
