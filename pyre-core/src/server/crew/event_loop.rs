//! The thread of an interpreter that runs its event loop.

use std::io;
use std::sync::{Arc, mpsc};

use pyre_ffi::interpreter::Refused;
use pyre_ffi::{Attached, Owned, Raised, Str, finally};
use pyre_interp::ring::LaneSeat;
use pyre_interp::worker::lane::Shared;
use pyre_interp::worker::loop_lane::{self, Bell, Berth};

use super::{LoadedApp, Station, Surroundings, begin, crew_of, end_process_if_it_fails, share};
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

/// Runs the lane of an event loop to its end. `begun` hears when lanes may await coroutines on it, or why
/// it cannot begin: then nothing runs.
pub(crate) fn run_loop(
    py: Attached<'_>,
    seat: LoopSeat,
    station: &Station,
    begun: impl FnOnce(io::Result<()>),
) {
    let LoopSeat { shared, seat, bell } = seat;
    let LoadedApp { application, toolkit } = &station.app;
    let context = match begin(py, station, &loop_name(station)) {
        Ok(context) => context,
        Err(error) => return begun(Err(error)),
    };
    end_process_if_it_fails(py, "an event loop", || {
        let run = || {
            let event_loop = event_loop_of(py, &station.app)?;
            let berth = Berth { seat, bell: &*bell };
            let opened = || begun(Ok(()));
            loop_lane::run(py, &shared, berth, event_loop, application, toolkit, opened)
        };
        finally(run(), py, || context.exit_context(py))
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
/// If the system has no room for another thread, or no memory for what it begins with.
pub(crate) fn start_loop(
    py: Attached<'_>,
    threads: &Arc<Threads>,
    station: &Station,
    seat: LoopSeat,
) -> io::Result<()> {
    let station = station.clone();
    let (starter, begun) = mpsc::channel();
    let invitation = station.handle.invite().map_err(io::Error::other)?;
    threads.start(loop_name(&station), station.cpu, move || {
        let entered = invitation.enter(move |py| {
            run_loop(py, seat, &station, |outcome| drop(starter.send(outcome)));
        });
        // Whoever started it hears nothing, and that says it.
        let _ = entered;
    })?;
    // One that cannot come into its interpreter says nothing; a loop that cannot be opened ends the process.
    py.detach(move || begun.recv()).unwrap_or_else(|_| Err(io::Error::other(Refused::NoMemory)))
}
