//! Step 5: a job goes to a lane, or waits for one, or is refused. Hot path.

use pyre_interp::job::{ConnectionId, Job, Pool};

use crate::connection::table::Connections;
use crate::direct::responder::Responder;
use crate::dispatch::hand_over::Dispatch;
use crate::inbound::files;

/// Hands a job over. Nothing here ever waits: a full system answers 503 at once.
///
/// Returns the job if there is nothing in it for a handler, so that its answers are to be written.
pub(crate) fn submit(
    connections: &mut Connections,
    responder: &mut Responder,
    dispatch: &mut Dispatch,
    to: ConnectionId,
    mut job: Box<Job>,
) -> Option<Box<Job>> {
    job.reply_to = to;
    job.now_s = connections.clock.wall_s();
    let Some(call) = job.current() else { return Some(job) };
    let (pool, target, request) = (call.pool, call.target, &call.request);
    if pool == Pool::Reactor {
        return files::submit(connections, responder, dispatch, to, job);
    }
    let (method, path, version) = (request.method, request.path, request.version);
    let now_ms = connections.clock.now_ms();
    let until_ms = now_ms.saturating_add(responder.frozen.allowances.for_job(&job));
    let Some(connection) = connections.get(to.slot) else {
        connections.jobs.give_back(job);
        return None;
    };
    connection.begin_answering(until_ms);
    let asked = responder.ledger.logs_answers().then_some((path, version));
    connection.protocol.exchange().begin(&job, target, method, asked, until_ms);
    if responder.heads.differ() {
        let wants_https = responder.heads.wants_https();
        connection.protocol.exchange().keep_particulars(&job, wants_https);
    }
    let needs_alarm = connection.deadline_ms < connection.alarm_ms;
    let has_closed_side = connection.has_closed_side();
    if let Err(mut job) = dispatch.submit(job, pool, now_ms) {
        responder.refuse_overload(&mut job);
        return Some(job);
    }
    if needs_alarm {
        connections.set_alarm(to.slot, until_ms);
    }
    if has_closed_side {
        connections.note_closed_side(to.slot, false);
    }
    None
}
