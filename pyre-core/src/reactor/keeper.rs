//! The keeper: a reactor's own thread. It runs the reactor while no lane does, lends it to a lane of
//! its worker when there are short handlers to run, and takes it back when one of them takes long.
//!
//! While the reactor is lent the keeper looks at the baton now and then. If it finds the lane away
//! twice, on the same errand, and the lane is blocked or has computed, it takes the reactor and goes
//! on itself. A lane that was only kept from its CPU keeps the reactor: taking it would help nobody.
//! When nothing has happened for a while, it sleeps until the lane leaves again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pyre_interp::job::Target;
use pyre_interp::ring::{Baton, Glance, Hold};
use pyre_interp::worker::carry::Carried;
use pyre_interp::worker::watch::Piece;

use crate::dispatch::errands::CarryingLanes;
use crate::reactor::run::Reactor;
use crate::sys;

/// Looks at which nothing had happened, after which the keeper sleeps.
const QUIET_LOOKS: u32 = 20;

/// What a keeper has to lend its reactor with.
#[derive(Clone)]
pub(crate) struct Loan {
    pub(crate) baton: Arc<Baton<Reactor>>,
    pub(crate) lanes: CarryingLanes,
    /// Time between two looks.
    pub(crate) pause: Duration,
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
        if !self.lanes.roster.choose()
            && let Some(hold) = self.baton.withdraw()
        {
            return hold;
        }
        self.watch()
    }

    /// Watches the lane that has it.
    fn watch(&self) -> Hold<Reactor> {
        let mut seen = self.look();
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
            seen.follow(now);
        }
    }

    fn look(&self) -> Look {
        let glance = self.baton.glance();
        if !glance.is_away() {
            return Look { glance, cpu: None, piece: None };
        }
        let cpu = sys::cpu_time(self.lanes.carrier.thread());
        let piece =
            self.lanes.watches.get(self.lanes.carrier.lane()).and_then(|watch| watch.piece());
        Look { glance, cpu, piece }
    }

    /// The lane has been away on one errand for at least a pause. Takes the reactor, unless the lane
    /// only waits for a CPU, or is back by now.
    #[cold]
    fn suspect(&self, seen: &Look, now: &Look) -> Option<Hold<Reactor>> {
        if !now.has_computed(seen, self.pause / 2) && sys::is_runnable(self.lanes.carrier.thread())
        {
            self.lanes.carrier.refusals.add(1);
            return None;
        }
        let mut hold = self.baton.take(now.glance)?;
        hold.taken_back(now.blamed(seen), now.piece.is_none(), self.pause);
        Some(hold)
    }
}

/// What the keeper saw at one moment.
struct Look {
    glance: Glance,
    /// What the lane's thread had computed, if it was away and the system tells.
    cpu: Option<Duration>,
    /// What it ran, if it was away and did not wait for the interpreter.
    piece: Option<Piece>,
}

impl Look {
    /// Takes the place of the look before. What a lane computes is counted from the first look that
    /// saw it on this errand: on a busy machine it may never get far between two of them.
    fn follow(&mut self, now: Self) {
        let since = if now.glance == self.glance { self.cpu } else { now.cpu };
        *self = Self { cpu: since, ..now };
    }

    /// Whether the lane has computed for so long.
    fn has_computed(&self, seen: &Self, long: Duration) -> bool {
        match (seen.cpu, self.cpu) {
            (Some(before), Some(now)) => now.saturating_sub(before) >= long,
            _ => false,
        }
    }

    /// The handler that keeps the reactor. None if the lane waits for the interpreter, or has begun
    /// with another call since: then it is the errand that takes long, and none of its calls.
    fn blamed(&self, seen: &Self) -> Option<Target> {
        self.piece.filter(|_| self.piece == seen.piece)?.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pyre_interp::job::RouteId;

    const LONG: Duration = Duration::from_millis(5);

    /// What is seen of a lane that has computed for so many milliseconds, and runs that piece.
    fn look(glance: Glance, cpu_ms: u64, piece: u64) -> Look {
        let piece = Piece { number: piece, target: Some(Target::Route(RouteId(0))) };
        Look { glance, cpu: Some(Duration::from_millis(cpu_ms)), piece: Some(piece) }
    }

    #[test]
    fn what_a_lane_computes_on_one_errand_adds_up() {
        let baton = Baton::new();
        let away = baton.begin(Box::new(())).leave();
        let glance = baton.glance();
        let mut seen = look(glance, 100, 1);
        // It has to share its CPU with many.
        for cpu_ms in [102, 104] {
            let now = look(glance, cpu_ms, 1);
            assert!(!now.has_computed(&seen, LONG));
            seen.follow(now);
        }
        assert!(look(glance, 106, 1).has_computed(&seen, LONG));
        // Another errand begins anew.
        let _away = away.back().unwrap().leave();
        seen.follow(look(baton.glance(), 106, 3));
        assert!(!look(baton.glance(), 110, 3).has_computed(&seen, LONG));
    }

    #[test]
    fn nobody_is_blamed_for_what_others_have_taken() {
        let baton = Baton::new();
        let _away = baton.begin(Box::new(())).leave();
        let glance = baton.glance();
        let waits = Look { piece: None, ..look(glance, 0, 0) };
        let (first, second) = (look(glance, 0, 1), look(glance, 0, 3));
        let route = Some(Target::Route(RouteId(0)));
        for (seen, now, blamed) in [
            (&first, &first, route),
            (&first, &second, None),
            (&waits, &first, None),
            (&waits, &waits, None),
        ] {
            assert_eq!(now.blamed(seen), blamed);
        }
    }
}
