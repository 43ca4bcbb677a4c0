//! A lane carries a reactor: it polls and reads as the reactor's own thread would, and runs the short
//! handlers among what it reads at once, so that no request has to wait for another thread to wake.
//! Hot path.
//!
//! ```text
//!   detached  turn: poll, read ... a job to run here ──▶ leave the reactor
//!   attached  run it ──▶ come back ──▶ write the answers, read on ──▶ the next job: leave, run, ...
//!                 └────▶ the reactor was taken: the job goes home by the ring, and the lane with it
//! ```
//! While the lane is inside Python, or waits to get in, the reactor is nobody's (`ring::Baton`), and
//! its keeper takes it if that lasts. So nothing of the reactor may be borrowed across a call into
//! Python; that a [`Hold`] is consumed to leave proves it.

use std::sync::Arc;

use pyre_ffi::Attached;

use crate::job::Job;
use crate::ring::{Away, Baton, Hold, LaneSeat};
use crate::worker::lane::Lane;

/// What a lane carries: a reactor.
pub trait Carried: Send {
    /// The lane of this number carries it from now on, on the calling thread.
    fn carried_by(&mut self, lane: usize);

    /// Goes on, turn after turn, until there is a job for the lane to run. None: the lane is to give
    /// the reactor back.
    ///
    /// # Threads
    /// Blocks while there is nothing to do.
    fn next(&mut self) -> Option<Box<Job>>;

    /// The job that the lane ran is back. The answers are written.
    fn done(&mut self, job: Box<Job>);

    /// The next job of this turn, if there is one for the lane to run.
    fn more(&mut self) -> Option<Box<Job>>;
}

/// The reactor left behind, and the job for which.
pub(crate) type Errand<R> = (Away<R>, Box<Job>);

/// Accepts the reactor that this lane was chosen for, unless it was withdrawn, and carries it as far
/// as that needs no interpreter.
pub(crate) fn pick_up<R: Carried>(baton: &Arc<Baton<R>>, seat: &mut LaneSeat) -> Option<Errand<R>> {
    let mut hold = baton.accept()?;
    seat.begin_carrying();
    hold.carried_by(seat.number());
    go_on(hold)
}

/// Carries the reactor to the next job, or gives it back if there is to be none.
fn go_on<R: Carried>(mut hold: Hold<R>) -> Option<Errand<R>> {
    match hold.next() {
        Some(job) => Some((hold.leave(), job)),
        None => {
            hold.give_back();
            None
        }
    }
}

impl<'py> Lane<'py, '_> {
    /// Runs jobs of the reactor that the lane carries, until it is given back or taken.
    pub(crate) fn carry<R: Carried>(&mut self, mut errand: Errand<R>) {
        let py: Attached<'py> = self.py;
        while let Some(hold) = self.run_errands(errand) {
            if self.watch.is_recalled() {
                // It was away for too long, though its keeper did not take it.
                return hold.give_back();
            }
            let Some(next) = py.detach(move || go_on(hold)) else { return };
            errand = next;
        }
    }

    /// Runs the jobs of one turn. None: the reactor was taken.
    fn run_errands<R: Carried>(&mut self, errand: Errand<R>) -> Option<Hold<R>> {
        let (mut away, mut job) = errand;
        loop {
            job = self.run_job(job);
            let Some(mut hold) = away.back() else {
                self.give_back(job);
                self.unrung.ring(&self.shared.doorbells);
                self.run_tasks();
                return None;
            };
            hold.done(job);
            if !self.tasks.is_empty() {
                away = hold.leave();
                self.run_tasks();
                hold = away.back()?;
            }
            match hold.more() {
                Some(next) => (away, job) = (hold.leave(), next),
                None => return Some(hold),
            }
        }
    }
}
