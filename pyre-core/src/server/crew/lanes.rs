//! The lanes of an interpreter, each on a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use parking_lot::Mutex;
use pyre_ffi::interpreter::Refused;
use pyre_ffi::{Attached, finally};
use pyre_interp::ring::{Baton, LaneSeat};
use pyre_interp::worker::lane::{self, Shared};

use super::{
    LoadedApp, StartLane, Station, Surroundings, begin, crew_of, end_process_if_it_fails, share,
};
use crate::reactor::run::Reactor;
use crate::server::failure;
use crate::server::plumbing::LaneParts;
use crate::server::threads::Threads;

/// A lane before it runs.
pub(crate) struct LaneBerth {
    shared: Arc<Shared>,
    seat: LaneSeat,
    baton: Option<Arc<Baton<Reactor>>>,
    /// What its thread is called.
    name: String,
}

/// Starts the lanes of an interpreter, the first of them on the calling thread: that one is returned,
/// to be run with [`run_lane`]. The others have begun when this returns.
///
/// # Errors
/// If the system has no room for another thread, or no memory for what it begins with.
pub(crate) fn start_lanes(
    py: Attached<'_>,
    parts: LaneParts,
    station: &Station,
    around: &Surroundings,
    is_first_own: bool,
) -> io::Result<Option<LaneBerth>> {
    let (lanes, baton) = (parts.lanes, parts.baton.clone());
    let shared = share(py, parts, around);
    let start = {
        let (shared, station, threads) = (shared.clone(), station.clone(), around.threads.clone());
        let baton = baton.clone();
        let number = AtomicUsize::new(usize::from(is_first_own));
        move |starter: Option<Starter>| {
            let number = number.fetch_add(1, Ordering::Relaxed);
            start_lane(&threads, &station, &shared, baton.as_ref(), number, starter)
        }
    };
    let own = is_first_own.then(|| LaneBerth {
        shared: shared.clone(),
        seat: shared.roster.seat(),
        baton,
        name: lane_name(station, 0),
    });
    let (starter, begun) = mpsc::channel();
    let others = lanes - usize::from(is_first_own);
    for _ in 0..others {
        start(Some(starter.clone()))?;
    }
    drop(starter);
    py.detach(move || wait_begun(&begun, others))?;
    let start_lane: StartLane = Box::new(move || start(None));
    around.crews.add(crew_of(station, &shared, Some(start_lane)));
    Ok(own)
}

/// Whoever starts the server, and hears whether a lane has begun.
type Starter = Sender<io::Result<()>>;

/// Waits until so many lanes have begun.
fn wait_begun(begun: &Receiver<io::Result<()>>, mut lanes: usize) -> io::Result<()> {
    for outcome in begun {
        outcome?;
        lanes -= 1;
    }
    // One that could not come into its interpreter has said nothing.
    if lanes > 0 { Err(io::Error::other(Refused::NoMemory)) } else { Ok(()) }
}

fn lane_name(station: &Station, number: usize) -> String {
    format!("{}.{number}", station.name)
}

fn start_lane(
    threads: &Arc<Threads>,
    station: &Station,
    shared: &Arc<Shared>,
    baton: Option<&Arc<Baton<Reactor>>>,
    number: usize,
    starter: Option<Starter>,
) -> io::Result<()> {
    let name = lane_name(station, number);
    // What the thread is given it can let go of inside only, also if the interpreter ends meanwhile.
    let invitation = station.handle.invite().map_err(io::Error::other)?;
    // Taken by the thread, so that it is still here if there is no thread.
    let place = Arc::new(Mutex::new(Some(shared.roster.seat())));
    let station = station.clone();
    let started = {
        let (shared, baton, place) = (shared.clone(), baton.cloned(), place.clone());
        threads.start(name.clone(), station.cpu, move || {
            let is_replacing = starter.is_none();
            let entered = invitation.enter(move |py| {
                let seat = place.lock().take();
                let seat = seat.expect("taken only here, or if there is no thread");
                let berth = LaneBerth { shared, seat, baton, name };
                run_lane(py, berth, &station, |outcome| match starter {
                    // Nobody listens any more if another lane could not begin.
                    Some(starter) => drop(starter.send(outcome)),
                    None => failure::end_process_if_it_fails("a lane", || outcome),
                });
            });
            if is_replacing {
                // It was counted on.
                failure::end_process_if_it_fails("a lane", || entered.map_err(io::Error::other));
            }
        })
    };
    if started.is_err()
        && let Some(seat) = place.lock().take()
    {
        // Another thread may have it, when the system has room for one.
        seat.give_back();
    }
    started
}

/// Runs a lane to its end, once `begun` has heard that it has begun; or only has that hear why it cannot.
/// One that panics takes a job with it, whose client would wait for ever; so it takes the process, as a
/// reactor does.
pub(crate) fn run_lane(
    py: Attached<'_>,
    berth: LaneBerth,
    station: &Station,
    begun: impl FnOnce(io::Result<()>),
) {
    let LaneBerth { shared, seat, baton, name } = berth;
    let LoadedApp { application, toolkit } = &station.app;
    let context = match begin(py, station, &name) {
        Ok(context) => context,
        Err(error) => return begun(Err(error)),
    };
    begun(Ok(()));
    end_process_if_it_fails(py, "a lane", || {
        let outcome = lane::run(py, &shared, seat, application, toolkit, baton.as_ref());
        finally(outcome, py, || context.exit_context(py))
    });
}
