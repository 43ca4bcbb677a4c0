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

mod seat; // what a lane itself says

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

pub use seat::{LaneSeat, Rest};

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
        self.rouse(States(self.states.load(Relaxed)), |states| {
            let lane = states.last_parked()?;
            Some((lane, states.leave(lane)))
        })
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
    fn call_one(&self, states: States) -> bool {
        self.rouse(states, |states| {
            if states.awake() != 0 {
                return None;
            }
            let lane = states.first_parked(self.reserve())?;
            Some((lane, states.call(lane)))
        })
    }

    /// Moves a parked lane to another state and wakes it: `pick` tells from the states which one, and
    /// what they are then, until nobody is in between. Tells whether there was one.
    fn rouse(&self, mut states: States, pick: impl Fn(States) -> Option<(u32, States)>) -> bool {
        while let Some((lane, next)) = pick(states) {
            match self.replace(states, next) {
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

#[cfg(test)]
#[cfg(not(pyre_loom))]
mod tests;
