//! What Python asks about the process as a whole.

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{Arguments, Attached, Int, ModuleBuilder, Object, Owned, Raised, Signature, Tuple};

use crate::shared::gil::GilFigures;
use crate::shared::vitals;
use crate::sys;

const GET_GIL_METRICS: Signature<0> = Signature::all("get_gil_metrics", []);

/// Adds the functions to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"get_gil_metrics",
        c"get_gil_metrics()\n--\n\n\
          Nine numbers about the servers of this process: last_wait_us, peak_wait_us (reset on \
          read), probe_count, total_wait_us, rss_bytes, queue_len, hold_peak_us (reset on read), \
          dropped, total_requests.",
        get_gil_metrics,
    )
}

fn get_gil_metrics<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [] = given.parse(&GET_GIL_METRICS, py)?;
    let mut gil = GilFigures::default();
    let (mut queued, mut dropped, mut requests) = (0, 0, 0);
    for server in vitals::servers() {
        server.gil.iter().for_each(|wait| wait.take(&mut gil));
        queued += server.queued();
        dropped += server.sum(|counters| &counters.overloaded);
        requests += server.sum(|counters| &counters.requests);
    }
    let whole = |number| Int::from_u64(py, number).map(Owned::into_any);
    let figures = [
        whole(gil.last_us)?,
        whole(gil.peak_us)?,
        whole(gil.probes)?,
        whole(gil.total_us)?,
        whole(sys::resident_bytes().unwrap_or(0))?,
        whole(queued)?,
        whole(gil.held_peak_us)?,
        whole(dropped)?,
        whole(requests)?,
    ];
    Tuple::new(py, figures).map(Owned::into_any)
}
