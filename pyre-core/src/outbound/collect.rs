//! Step 11: a reply that came back, by a ring or from the lane that carries the reactor, meets its
//! connection. Hot path.
//!
//! A connection has at most one job out, so replies need no sorting: each is next in the order of
//! its connection.

use pyre_interp::job::Job;

use crate::connection::state::{Connection, Phase};
use crate::connection::table::Connections;
use crate::dispatch::hand_over::Dispatch;
use crate::metrics::ledger::Ledger;
use crate::outbound::stream;

/// Takes in a job that is back with answers. Returns it if its connection is still there, to which
/// they are written.
#[inline]
pub(crate) fn collect(
    connections: &mut Connections,
    ledger: &mut Ledger,
    dispatch: &mut Dispatch,
    mut job: Box<Job>,
) -> Option<Box<Job>> {
    let to = job.reply_to;
    let has_disconnected = dispatch.returned(&mut job);
    if has_disconnected && !job.is_finished() {
        // Nobody waits for the rest any more. One who has only closed his side gets what has
        // been answered so far.
        job.give_up_rest();
    }
    let is_serving = !connections.is_draining();
    let Some(connection) = connections.get_exactly(to.slot, to.generation) else {
        // The peer went while its handler ran, unless it was told before that this took too long.
        if !has_disconnected {
            stream::end(ledger, &mut job);
            ledger.collected_unsent(&mut job);
        }
        connections.jobs.give_back(job);
        return None;
    };
    connection.phase = Phase::Reading;
    if connection.upload.is_some() {
        return collect_early(connections, ledger, job, has_disconnected);
    }
    if job.closes && !has_disconnected {
        keep_open_if_more_was_received(&mut job, connection, is_serving);
    }
    Some(job)
}

/// Takes in a job whose request has not become whole.
#[cold]
#[inline(never)]
fn collect_early(
    connections: &mut Connections,
    ledger: &mut Ledger,
    mut job: Box<Job>,
    has_disconnected: bool,
) -> Option<Box<Job>> {
    let slot = job.reply_to.slot;
    let connection = connections.get(slot)?;
    if connection.upload.as_ref().is_some_and(|upload| !upload.is_broken) {
        let is_told = connection.answered_early(&mut job);
        if is_told {
            connections.await_body(slot, true);
        }
        return Some(job);
    }
    // RFC 9112 section 8: one that never will is not answered, whatever its handler says.
    if !has_disconnected {
        ledger.collected_unsent(&mut job);
    }
    connections.jobs.give_back(job);
    connections.close(slot);
    None
}

/// A lane that knows of the drain ends every connection with the answers it makes. It does not see
/// what has been received behind their requests, which is answered as well.
#[cold]
fn keep_open_if_more_was_received(job: &mut Job, connection: &mut Connection, is_serving: bool) {
    if is_serving {
        // The drain has begun in this very turn, and this reactor has not acted upon it yet.
        connection.note_what_is_owed();
    }
    if connection.owed_bytes > 0 && !connection.last {
        job.keep_open();
    }
}
