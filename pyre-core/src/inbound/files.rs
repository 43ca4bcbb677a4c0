//! Step 5 for requests of files: the reactor answers them itself, in their order among the others of a job.
//! Hot path for what is in memory.

use std::sync::Arc;

use pyre_interp::job::{ConnectionId, Entry, Job, Pool, REPLY_PART_BYTES, Target};

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::connection::table::Connections;
use crate::direct::files::look::{Found, Look, MustWait, Outcome, Wanted, look};
use crate::direct::files::serve::Step;
use crate::direct::responder::Responder;
use crate::dispatch::hand_over::Dispatch;
use crate::inbound::submit;
use crate::sys::Patience;

/// Answers the requests of a job that are for files, up to one for a handler: from there on it is handed
/// over. Returns the job if there is something to write first.
pub(super) fn submit(
    connections: &mut Connections,
    responder: &mut Responder,
    dispatch: &mut Dispatch,
    to: ConnectionId,
    mut job: Box<Job>,
) -> Option<Box<Job>> {
    let now_ms = connections.clock.now_ms();
    let Some(connection) = connections.get(to.slot) else {
        connections.jobs.give_back(job);
        return None;
    };
    let mut looked = None;
    if let Some(look) = &connection.look {
        let Some(outcome) = look.take() else {
            // Something else has brought the connection here.
            park(connections, to.slot, job);
            return None;
        };
        looked = Some((outcome, look.is_instead));
        connection.look = None;
    }
    while let Some(call) = job.current() {
        if call.pool != Pool::Reactor {
            return submit::submit(connections, responder, dispatch, to, job);
        }
        let target = call.target;
        match responder.serve_file(&mut job, looked.take(), now_ms) {
            Step::Answered => job.next += 1,
            Step::NotHere => match responder.frozen.routes.fallback {
                Some(pool) => {
                    if let Some(Entry::Call(call)) = job.entries.get_mut(job.next) {
                        (call.target, call.pool) = (Target::Fallback, pool);
                    }
                }
                None => {
                    responder.refuse_file(&mut job, 404);
                    job.next += 1;
                }
            },
            // What is there for others before it goes first.
            Step::Look(..) if !job.reply.is_empty() => return Some(job),
            Step::Look(wanted, before) => {
                if begin(connections, responder, to, target, &job, wanted, before) {
                    park(connections, to.slot, job);
                    return None;
                }
                responder.refuse_file(&mut job, 503);
                job.next += 1;
            }
        }
        if job.flow.is_some() || job.reply.len() >= REPLY_PART_BYTES {
            return Some(job);
        }
    }
    Some(job)
}

/// Has a thread look that may wait. Returns whether one will.
#[cold]
fn begin(
    connections: &mut Connections,
    responder: &Responder,
    to: ConnectionId,
    target: Target,
    job: &Job,
    wanted: Wanted,
    before: Option<Arc<Found>>,
) -> bool {
    let Target::Files(number) = target else { return false };
    let found = Arc::new(Look::new(wanted == Wanted::Instead));
    let (for_task, mailbox, now_s) = (found.clone(), connections.mailbox.clone(), job.now_s);
    let frozen = responder.frozen.clone();
    let task = move || {
        let mount = frozen.routes.table.mounts().get(number);
        let outcome = look(mount, &wanted, before.as_deref(), now_s, Patience::Wait);
        for_task.put(outcome.unwrap_or_else(|MustWait| Outcome::Broken));
        mailbox.put(to);
    };
    let is_begun = connections.disk.run(task).is_ok();
    if is_begun && let Some(connection) = connections.get(to.slot) {
        connection.look = Some(found);
    }
    is_begun
}

/// The connection waits for what is looked up for it.
#[cold]
fn park(connections: &mut Connections, slot: u32, job: Box<Job>) {
    let deadline_ms = connections.clock.now_ms().saturating_add(connections.body_ms());
    let Some(connection) = connections.get(slot) else { return connections.jobs.give_back(job) };
    connection.phase = Phase::Streaming;
    connection.awaiting = Awaiting::Piece;
    connection.outbound = Some(Outbound { job, written: 0 });
    connections.set_deadline(slot, deadline_ms);
}
