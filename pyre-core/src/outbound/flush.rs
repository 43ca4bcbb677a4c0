//! Step 12: bytes are written, in one call per connection and turn. Hot path.

use std::io;

use pyre_interp::job::Job;

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::connection::table::Connections;
use crate::metrics::ledger::Ledger;

/// Writes what a job holds, from `written` on. What the socket does not take waits for it.
///
/// Returns the job if all of it is written and there are requests left in it, which are submitted next.
pub(crate) fn flush(
    connections: &mut Connections,
    ledger: &mut Ledger,
    slot: u32,
    mut job: Box<Job>,
    mut written: usize,
) -> Option<Box<Job>> {
    ledger.collected(&mut job);
    let Some(connection) = connections.get(slot) else {
        connections.jobs.give_back(job);
        return None;
    };
    while written < job.reply.len() {
        match connection.transport.send(&job.reply[written..]) {
            Ok(sent) if sent > 0 => written += sent,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.phase = Phase::Writing;
                connection.outbound = Some(Outbound { job, written });
                connections.await_next(slot, Awaiting::Writable);
                return None;
            }
            // The peer is gone: nobody is left to tell.
            Ok(_) | Err(_) => {
                connections.jobs.give_back(job);
                connections.close(slot);
                return None;
            }
        }
    }
    connection.phase = Phase::Reading;
    if !job.is_finished() {
        job.reply.clear();
        return Some(job);
    }
    let is_last = connection.last || job.closes;
    connections.jobs.give_back(job);
    go_on(connections, slot, is_last);
    None
}

/// What follows when all answers are written: the next request, or the end.
#[inline]
fn go_on(connections: &mut Connections, slot: u32, is_last: bool) {
    if is_last {
        connections.linger(slot);
    } else if connections.is_ending() {
        connections.read_last(slot);
    } else {
        connections.await_next(slot, Awaiting::Request);
    }
}
