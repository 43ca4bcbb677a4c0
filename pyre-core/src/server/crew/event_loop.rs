//! The thread of an interpreter that runs its event loop.

use std::io;
use std::sync::{Arc, mpsc};

use pyre_ffi::{Attached, Owned, Raised, Str};
use pyre_interp::ring::LaneSeat;
use pyre_interp::worker::lane::Shared;
use pyre_interp::worker::loop_lane::{self, Bell, Berth};

use super::{
    LoadedApp, Station, Surroundings, crew_of, end_process_if_it_fails, share, within_context,
};
use crate::server::plumbing::LaneParts;
use crate::server::threads::Threads;
use crate::server::worker::traceback;
use crate::sys::LoopBell;

/// The thread of an event loop, before it runs.
pub(crate) struct LoopSeat {
    shared: Arc<Shared>,
    seat: LaneSeat,
    bell: Arc<LoopBell>,
}

/// Prepares the lane that runs the event loop of an interpreter, and opens that: what is missing for it
/// is found while the start can still fail.
///
/// # Errors
/// If the process has no more descriptors.
pub(crate) fn prepare_loop(
    py: Attached<'_>,
    parts: LaneParts,
    station: &Station,
    around: &Surroundings,
) -> io::Result<LoopSeat> {
    event_loop_of(py, &station.app).map_err(|raised| io::Error::other(traceback(py, raised)))?;
    let bell = Arc::new(LoopBell::new()?);
    let shared = share(py, parts, around);
    let seat = {
        let bell = bell.clone();
        shared.roster.seat_with_bell(move || bell.ring())
    };
    around.crews.add(crew_of(station, &shared, None));
    Ok(LoopSeat { shared, seat, bell })
}

/// Runs the lane of an event loop to its end. Calls `opened` when lanes may await coroutines on it.
pub(crate) fn run_loop(py: Attached<'_>, seat: LoopSeat, station: &Station, opened: impl FnOnce()) {
    let LoopSeat { shared, seat, bell } = seat;
    let LoadedApp { application, toolkit } = &station.app;
    end_process_if_it_fails(py, "an event loop", || {
        within_context(py, station, &loop_name(station), || {
            let event_loop = event_loop_of(py, &station.app)?;
            let berth = Berth { seat, bell: &*bell };
            loop_lane::run(py, &shared, berth, event_loop, application, toolkit, opened)
        })
    });
}

fn loop_name(station: &Station) -> String {
    format!("{}.loop", station.name)
}

/// The loop that the app has opened in this interpreter.
fn event_loop_of<'py>(py: Attached<'py>, app: &LoadedApp) -> Result<Owned<'py>, Raised> {
    let owner = app.application.owner.as_ref().ok_or_else(|| {
        Raised::runtime_error(py, "the app has no owner that could open an event loop")
    })?;
    owner.bind(py).call_method0(&*Str::intern(py, "open_loop")?, py)
}

/// Starts the lane of an event loop on a thread of its own, and waits until the loop is open.
///
/// # Errors
/// If the system has no room for another thread.
pub(crate) fn start_loop(
    py: Attached<'_>,
    threads: &Arc<Threads>,
    station: &Station,
    seat: LoopSeat,
) -> io::Result<()> {
    let station = station.clone();
    let (sender, opened) = mpsc::channel();
    threads.start(loop_name(&station), station.cpu, move || {
        let handle = station.handle.clone();
        let entered = handle.enter(|py| {
            run_loop(py, seat, &station, || {
                // Whoever started it waits for this.
                let _ = sender.send(());
            });
            drop(station);
        });
        let _ = entered;
    })?;
    // A loop that cannot be opened ends the process.
    py.detach(move || opened.recv()).map_err(|_| io::Error::other("the event loop did not open"))
}
