//! The lanes of an interpreter, each on a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use pyre_ffi::Attached;
use pyre_interp::ring::{Baton, LaneSeat};
use pyre_interp::worker::lane::{self, Shared};

use super::{
    LoadedApp, StartLane, Station, Surroundings, crew_of, end_process_if_it_fails, share,
    within_context,
};
use crate::reactor::run::Reactor;
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
/// to be run with [`run_lane`].
///
/// # Errors
/// If the system has no room for another thread.
pub(crate) fn start_lanes(
    py: Attached<'_>,
    parts: LaneParts,
    station: &Station,
    around: &Surroundings,
    is_first_own: bool,
) -> io::Result<Option<LaneBerth>> {
    let (lanes, baton) = (parts.lanes, parts.baton.clone());
    let shared = share(py, parts, around);
    let start_lane: StartLane = {
        let (shared, station, threads) = (shared.clone(), station.clone(), around.threads.clone());
        let baton = baton.clone();
        let number = AtomicUsize::new(usize::from(is_first_own));
        Box::new(move || {
            let number = number.fetch_add(1, Ordering::Relaxed);
            start_lane(&threads, &station, &shared, baton.as_ref(), number)
        })
    };
    let own = is_first_own.then(|| LaneBerth {
        shared: shared.clone(),
        seat: shared.roster.seat(),
        baton,
        name: lane_name(station, 0),
    });
    for _ in usize::from(is_first_own)..lanes {
        start_lane()?;
    }
    around.crews.add(crew_of(station, &shared, Some(start_lane)));
    Ok(own)
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
) -> io::Result<()> {
    let name = lane_name(station, number);
    // Taken by the thread, so that it is still here if there is no thread.
    let place = Arc::new(Mutex::new(Some(shared.roster.seat())));
    let station = station.clone();
    let started = {
        let (shared, baton, place) = (shared.clone(), baton.cloned(), place.clone());
        threads.start(name.clone(), station.cpu, move || {
            let handle = station.handle.clone();
            let entered = handle.enter(|py| {
                let seat = place.lock().take();
                let seat = seat.expect("taken only here, or if there is no thread");
                run_lane(py, LaneBerth { shared, seat, baton, name }, &station);
                // Released here, where the interpreter may be touched.
                drop(station);
            });
            // Closed: the interpreter ended before this lane began.
            let _ = entered;
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

/// Runs a lane to its end. One that panics takes a job with it, whose client would wait for ever;
/// so it takes the process, as a reactor does.
pub(crate) fn run_lane(py: Attached<'_>, berth: LaneBerth, station: &Station) {
    let LaneBerth { shared, seat, baton, name } = berth;
    let LoadedApp { application, toolkit } = &station.app;
    end_process_if_it_fails(py, "a lane", || {
        within_context(py, station, &name, || {
            lane::run(py, &shared, seat, application, toolkit, baton.as_ref())
        })
    });
}
