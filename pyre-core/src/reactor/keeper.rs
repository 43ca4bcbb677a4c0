//! The keeper: a reactor's own thread. It runs the reactor while no lane does, lends it to a lane of
//! its worker when there are short handlers to run, and takes it back when one of them takes long.
//!
//! While the reactor is lent the keeper looks at the baton now and then. If it finds the lane away
//! twice, on the same errand, and the lane is blocked or computes, it takes the reactor and goes on
//! itself. A lane that was only kept from its CPU keeps the reactor: taking it would help nobody.
//! When nothing has happened for a while, it sleeps until the lane leaves again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pyre_interp::ring::{Baton, Glance, Hold, Roster};
use pyre_interp::worker::carry::Carried;
use pyre_interp::worker::watch::Watch;

use crate::metrics::counters::Tally;
use crate::reactor::run::Reactor;
use crate::sys;

/// Looks at which nothing had happened, after which the keeper sleeps.
const QUIET_LOOKS: u32 = 20;

/// What a keeper has to lend its reactor with.
#[derive(Clone)]
pub(crate) struct Loan {
    pub(crate) baton: Arc<Baton<Reactor>>,
    /// The lanes that may carry it.
    pub(crate) roster: Arc<Roster>,
    /// What those lanes run, by the number of their seats.
    pub(crate) watches: Vec<Arc<Watch>>,
    pub(crate) carrier: Arc<Carrier>,
    /// Time between two looks.
    pub(crate) pause: Duration,
}

/// Which thread carries a reactor.
#[derive(Default)]
pub(crate) struct Carrier {
    lane: AtomicUsize,
    thread: AtomicI32,
    /// How often the lane was found to wait for a CPU only.
    pub(crate) refusals: Tally,
}

impl Carrier {
    /// It is the calling thread, which runs that lane.
    pub(crate) fn settle(&self, lane: usize) {
        // Relaxed: the keeper reads them only after it has seen the lane leave the reactor.
        self.lane.store(lane, Relaxed);
        self.thread.store(sys::thread_id(), Relaxed);
    }

    fn lane(&self) -> usize {
        self.lane.load(Relaxed)
    }

    fn thread(&self) -> i32 {
        self.thread.load(Relaxed)
    }
}

/// Runs a reactor until it is told to stop, on the calling thread and on lanes it is lent to.
///
/// # Errors
/// Only if the poll itself fails, which no peer can cause.
pub(crate) fn keep(mut reactor: Reactor, loan: Option<Loan>) -> io::Result<()> {
    let Some(loan) = loan else {
        while reactor.next().is_some() {}
        return reactor.finish();
    };
    let mut hold = loan.baton.begin(Box::new(reactor));
    loop {
        // Nobody is here to run a job, so there is none: it is over, or to be lent.
        let job = hold.next();
        debug_assert!(job.is_none(), "a job for a lane, and no lane");
        if !hold.is_over() {
            hold = loan.lend(hold);
        }
        if hold.is_over() {
            return hold.finish();
        }
    }
}

impl Loan {
    /// Lends the reactor until it comes back, or has to be taken.
    fn lend(&self, hold: Hold<Reactor>) -> Hold<Reactor> {
        hold.offer();
        if !self.roster.choose()
            && let Some(hold) = self.baton.withdraw()
        {
            return hold;
        }
        self.watch()
    }

    /// Watches the lane that has it.
    fn watch(&self) -> Hold<Reactor> {
        let mut seen = Look { glance: self.baton.glance(), cpu: None };
        let mut quiet = 0;
        loop {
            if quiet < QUIET_LOOKS {
                self.baton.doze(self.pause);
            } else {
                self.baton.sleep();
                quiet = 0;
            }
            if let Some(mut hold) = self.baton.reclaim() {
                hold.put_down();
                return hold;
            }
            let now = self.look();
            let is_same = now.glance == seen.glance;
            if is_same && now.glance.is_away() {
                if let Some(hold) = self.suspect(&seen, &now) {
                    return hold;
                }
            } else if is_same
                && now.glance.is_offered()
                && let Some(mut hold) = self.baton.withdraw()
            {
                // The lane that was chosen has not come for it in all that time.
                hold.put_down();
                return hold;
            }
            quiet = if is_same && !now.glance.is_away() { quiet + 1 } else { 0 };
            seen = now;
        }
    }

    fn look(&self) -> Look {
        let glance = self.baton.glance();
        let cpu = glance.is_away().then(|| sys::cpu_time(self.carrier.thread())).flatten();
        Look { glance, cpu }
    }

    /// The lane has been away on one errand for at least a pause. Takes the reactor, unless the lane
    /// only waits for a CPU, or is back by now.
    #[cold]
    fn suspect(&self, seen: &Look, now: &Look) -> Option<Hold<Reactor>> {
        let has_computed = match (seen.cpu, now.cpu) {
            (Some(before), Some(now)) => now.saturating_sub(before) >= self.pause / 2,
            _ => false,
        };
        if !has_computed && sys::is_runnable(self.carrier.thread()) {
            self.carrier.refusals.add(1);
            return None;
        }
        let piece = self.watches.get(self.carrier.lane()).and_then(|watch| watch.piece());
        let mut hold = self.baton.take(now.glance)?;
        // With no piece of work the lane waits for the interpreter: that is no handler's fault.
        hold.taken_back(piece.and_then(|piece| piece.target), self.pause);
        Some(hold)
    }
}

/// What the keeper saw at one moment.
struct Look {
    glance: Glance,
    /// What the lane's thread had computed, if it was away and the system tells.
    cpu: Option<Duration>,
}
