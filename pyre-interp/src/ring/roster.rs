//! The lanes of one worker, as its reactors see them: whom to wake, and whether anyone is left.
//! Steps 5 and 6. Hot path.
//!
//! A lane is in one of four states, and always knows how it came there:
//! ```text
//!              took (its first message)
//!     CALLED ──────────────────────────▶ LOOKING ◀─────────────── took ── BLOCKED
//!       ▲  └─────── announce ──┐            │ └──── suspect (a reactor) ────▶ │
//!       │                      ▼  announce  │                                 │
//!       └─ notify, suspect ─ PARKED ◀───────┴──────────── announce ───────────┘
//!          (a reactor)         └── cancel ──▶ LOOKING
//! ```
//! - *looking*: it runs messages, one after the other, and will look for the next one before it
//!   sleeps. While one lane looks, pushes wake nobody.
//! - *blocked*: it was looking, yet took nothing for a while though there was something to take, so a
//!   reactor marked it: it sits in a handler that sleeps or waits. It looks again when it returns.
//! - *parked*: it sleeps, or has announced that it will.
//! - *called*: a reactor woke it, and it has not taken anything yet. It may be waiting for the GIL;
//!   until it arrives, waking another lane, which would wait for the same GIL, helps nobody.
//!
//! The states of all lanes are one word, two bits a lane, and every step is one compare-and-swap of
//! that word. So two reactors never call two lanes for the same thing, and a lane that is called is
//! one that was parked at that instant.
//!
//! No wake-up is lost: a lane parks itself, puts a fence, and looks at its rings once more; a reactor
//! pushes, puts a fence, and reads the word. So either the lane finds what was pushed, or the reactor
//! sees that it does not look.
//!
//! The lane called is the parked one with the lowest number. As good as the last one to park: few
//! lanes do the work and stay warm, and those that are never needed stay untouched, without an order
//! to maintain.
//!
//! A lane that runs an event loop does not park its thread: it brings a bell that ends its wait.
//!
//! A parked lane may be *chosen* to carry a reactor. From then on it counts as blocked: it takes
//! nothing from the rings until it looks again. As long as none carries it, one lane is kept in
//! *reserve* for that: the last one that is parked stays so, whatever is in the rings.
//!
//! A lane that another one has taken the place of *retires* when it comes back: it leaves, and sleeps
//! until it is *recalled*, to take the place of a lane that is stuck in turn.

use super::{
    states::{LANES_MAX, States},
    sync::{AtomicBool, AtomicU32, AtomicU64, Line, OnceLock, Site, fence, order, thread},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
};

/// The lanes of one worker.
///
/// # Threads
/// Any number of reactors call it; each lane acts through the [`LaneSeat`] it was given.
pub struct Roster {
    states: Line<AtomicU64>,
    closed: Line<AtomicBool>,
    seats_given: AtomicU32,
    /// Whether there is a reactor to carry: one of [`NONE`], [`VACANT`], [`TAKEN`].
    carrying: AtomicU32,
    lanes: Box<[Line<Lane>]>,
}

/// What one lane shows the others besides its state.
struct Lane {
    /// Messages taken so far. Written by the lane only.
    takes: AtomicU64,
    /// How to wake the lane, known before it first parks.
    waker: OnceLock<Waker>,
    /// One of [`HERE`], [`RETIRED`], [`RECALLED`].
    retirement: AtomicU32,
}

/// What ends the sleep of a lane.
enum Waker {
    /// Its thread is parked.
    Thread(thread::Thread),
    /// It waits for something else as well, and this ends that.
    Bell(Box<dyn Fn() + Send + Sync>),
}

/// There is no reactor that lanes of this roster carry.
const NONE: u32 = 0;
/// There is one, which no lane carries.
const VACANT: u32 = 1;
/// A lane carries it.
const TAKEN: u32 = 2;

/// The lane is none of the two.
const HERE: u32 = 0;
/// The lane has left and waits to be recalled.
const RETIRED: u32 = 1;
/// The lane was recalled and has not come back yet.
const RECALLED: u32 = 2;

impl Roster {
    /// Makes a roster for `lanes` lanes. They count for nothing until they sit down.
    ///
    /// # Panics
    /// If `lanes` is 0 or more than [`LANES_MAX`].
    pub fn new(lanes: usize) -> Arc<Self> {
        assert!((1..=LANES_MAX).contains(&lanes), "a worker has 1 to {LANES_MAX} lanes");
        let lane = |_| {
            Line(Lane {
                takes: AtomicU64::new(0),
                waker: OnceLock::new(),
                retirement: AtomicU32::new(HERE),
            })
        };
        Arc::new(Self {
            states: Line(AtomicU64::new(0)),
            closed: Line(AtomicBool::new(false)),
            seats_given: AtomicU32::new(0),
            carrying: AtomicU32::new(NONE),
            lanes: (0..lanes).map(lane).collect(),
        })
    }

    /// Gives out the next seat. Its lane counts as looking at once, and so has to look.
    ///
    /// # Panics
    /// If every lane has its seat.
    pub fn seat(self: &Arc<Self>) -> LaneSeat {
        let lane = self.seats_given.fetch_add(1, Relaxed);
        assert!((lane as usize) < self.lanes.len(), "every lane has its seat");
        let seat = LaneSeat { roster: self.clone(), lane };
        seat.move_to(States::look);
        seat
    }

    /// As [`Self::seat`], for a lane that sleeps by other means than [`LaneSeat::block`]. The bell must
    /// end its sleep, or keep the next one from beginning.
    ///
    /// # Panics
    /// If every lane has its seat.
    pub fn seat_with_bell(self: &Arc<Self>, bell: impl Fn() + Send + Sync + 'static) -> LaneSeat {
        let seat = self.seat();
        let waker = &self.lanes[seat.lane as usize].waker;
        waker.get_or_init(|| Waker::Bell(Box::new(bell)));
        seat
    }

    /// Brings one lane back that has retired. Tells whether there was one.
    #[cold]
    pub fn recall(&self) -> bool {
        let retired = self.lanes.iter().find(|lane| {
            // Acquire: we know how to wake the lane. Pairs with the fence in `LaneSeat::retire`. No
            // Release: a lane that comes back looks at its rings as if it had never been away.
            let seeing = order(Site::RosterRecalled, Acquire);
            lane.retirement.compare_exchange(RETIRED, RECALLED, seeing, Relaxed).is_ok()
        });
        retired.inspect(|lane| lane.wake()).is_some()
    }

    /// How many seats have not been given out.
    pub fn seats_left(&self) -> usize {
        self.lanes.len().saturating_sub(self.seats_given.load(Relaxed) as usize)
    }

    /// Something was pushed: wakes one parked lane, unless a lane looks anyway. Once a turn, after
    /// its pushes. Tells whether it woke one.
    ///
    /// Costs a fence and a load while a lane looks.
    #[inline]
    pub fn notify(&self) -> bool {
        // Pairs with the fence in `LaneSeat::announce`: either we see that the lane parks, or it,
        // which looks after that, sees what was pushed before.
        fence(Site::RosterPushed);
        let states = States(self.states.load(Relaxed));
        states.awake() == 0 && self.call_one(states)
    }

    /// There has been work for a while and nobody took any: marks the lanes that look as blocked, and
    /// wakes a parked one.
    ///
    /// `seen` is what [`Self::progress`] told at the earlier look. If a lane has taken something
    /// since, or one was called and is still on its way, nothing is done, so of several reactors that
    /// come to suspect the same thing one wakes one lane.
    ///
    /// False if no lane is left to take the work: all are blocked.
    #[cold]
    pub fn suspect(&self, seen: u64) -> bool {
        // Pairs with the Release in `LaneSeat::move_to`: a lane that was called and has arrived counts
        // its message first, so we cannot take it for one that has been blocked all along.
        let mut states = States(self.states.load(order(Site::RosterSeen, Acquire)));
        loop {
            if states.called() != 0 || self.progress() != seen {
                return true;
            }
            let stalled = states.block_all();
            let chosen = stalled.first_parked(self.reserve());
            let next = chosen.map_or(stalled, |lane| stalled.call(lane));
            match self.replace(states, next) {
                Ok(()) => {
                    chosen.inspect(|&lane| self.lanes[lane as usize].wake());
                    return chosen.is_some();
                }
                Err(now) => states = now,
            }
        }
    }

    /// How many messages the lanes have taken so far. Two looks that show the same number, with work
    /// waiting all the while, are what [`Self::suspect`] is for.
    pub fn progress(&self) -> u64 {
        self.lanes.iter().fold(0, |sum, lane| sum.wrapping_add(lane.takes.load(Relaxed)))
    }

    /// How many lanes look, are called or parked, without the reserve. 0: all are blocked.
    pub fn free(&self) -> usize {
        let free = States(self.states.load(Relaxed)).free().count_ones();
        free.saturating_sub(self.reserve()) as usize
    }

    /// How many lanes are doing something: they look, are blocked, or have been called.
    pub fn busy(&self) -> usize {
        let states = States(self.states.load(Relaxed));
        let parked = states.parked();
        let has_retired = |lane: &&Line<Lane>| lane.retirement.load(Relaxed) == RETIRED;
        let retired = self.lanes.iter().filter(has_retired).count();
        let given = self.seats_given.load(Relaxed) as usize;
        let carrying = usize::from(self.carrying.load(Relaxed) == TAKEN);
        given.saturating_sub(parked.count_ones() as usize + retired + carrying)
    }

    /// Whether a lane is parked, be it the reserve.
    pub fn has_parked(&self) -> bool {
        States(self.states.load(Relaxed)).parked() != 0
    }

    /// There is a reactor that lanes are to carry, and none does: one of them is the reserve.
    pub fn vacate(&self) {
        self.carrying.store(VACANT, Relaxed);
    }

    /// How many parked lanes are not to be called.
    #[inline]
    fn reserve(&self) -> u32 {
        // Relaxed: a reactor that pushed reads it after the fence in `notify`, a lane that parks after the
        // one in `announce`. So if either misses that a lane begins to carry, that one, which notifies
        // after it has said so, finds the parked lane, and that one finds what was pushed.
        u32::from(self.carrying.load(Relaxed) == VACANT)
    }

    /// Chooses a parked lane to carry a reactor, which has been offered before, and wakes it. Tells
    /// whether there was one.
    pub fn choose(&self) -> bool {
        // Pairs with the Acquire in `LaneSeat::block`, and with the one in `LaneSeat::cancel`: a lane
        // that finds itself chosen sees what was offered.
        fence(Site::RosterPushed);
        let mut states = States(self.states.load(Relaxed));
        while let Some(lane) = states.last_parked() {
            match self.replace(states, states.leave(lane)) {
                Ok(()) => {
                    self.lanes[lane as usize].wake();
                    return true;
                }
                Err(now) => states = now,
            }
        }
        false
    }

    /// Whether no lane is awake, and one could be called.
    pub fn is_idle(&self) -> bool {
        let states = States(self.states.load(Relaxed));
        states.awake() == 0 && states.first_parked(self.reserve()).is_some()
    }

    /// Whether a lane was called and is still on its way, and no other one does anything: as far as
    /// lanes of this roster go, the GIL is free.
    pub fn is_waking(&self) -> bool {
        let called = States(self.states.load(Relaxed)).called().count_ones() as usize;
        called > 0 && self.busy() == called
    }

    /// No lane will park any more, and those that do return with [`Rest::Closed`].
    pub fn close(&self) {
        // Pairs with the Acquire in `LaneSeat::block`.
        self.closed.store(true, Release);
        // Pairs with the fence in `LaneSeat::announce`, and for a lane that retires with the one in
        // `Self::notify`: either we know how to wake the lane and do so, or the lane, which says how
        // before that, sees that we closed.
        fence(Site::RosterClosed);
        self.lanes.iter().for_each(|lane| lane.wake());
    }

    /// How many lanes are called.
    #[cfg(all(test, pyre_loom))]
    pub(super) fn called(&self) -> u32 {
        States(self.states.load(Relaxed)).called().count_ones()
    }

    /// Calls a parked lane, unless one is awake by now.
    #[cold]
    fn call_one(&self, mut states: States) -> bool {
        while states.awake() == 0 {
            let Some(lane) = states.first_parked(self.reserve()) else { return false };
            match self.replace(states, states.call(lane)) {
                Ok(()) => {
                    self.lanes[lane as usize].wake();
                    return true;
                }
                Err(now) => states = now,
            }
        }
        false
    }

    /// Replaces the states a reactor has seen, or tells the newer ones.
    fn replace(&self, seen: States, next: States) -> Result<(), States> {
        // Acquire: we know the thread of the lane we call, and the counts of those that moved. Pairs
        // with the Release in `LaneSeat::move_to`. No Release: what a called lane must find was
        // released by the fence in `notify`.
        let seeing = order(Site::RosterSeen, Acquire);
        let exchanged = self.states.compare_exchange_weak(seen.0, next.0, seeing, seeing);
        exchanged.map(drop).map_err(States)
    }
}

impl Lane {
    fn wake(&self) {
        match self.waker.get() {
            Some(Waker::Thread(thread)) => thread.unpark(),
            Some(Waker::Bell(ring)) => ring(),
            None => {}
        }
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        States(self.states.load(Relaxed)).fmt(f)
    }
}

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
    roster: Arc<Roster>,
    lane: u32,
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
    fn move_to(&self, state: fn(States, u32) -> States) -> States {
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

#[cfg(test)]
#[cfg(not(pyre_loom))]
mod tests;
