//! An answer in pieces: when all that is there is written, the next pieces take its place in the reply.

use pyre_interp::flow::Taken;
use pyre_interp::job::Job;

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::connection::table::Connections;
use crate::metrics::ledger::Ledger;
use crate::settings::bounds::{HALF_CLOSED_MS, REFILLS_PER_TURN_MAX};
use crate::shared::frozen::FOR_EVER_MS;

/// What there is to write.
pub(crate) enum Refill {
    /// The next pieces are in the reply of the job; or the last ones, and the flow is no more.
    Pieces(Box<Job>),
    /// Nothing, now.
    Nothing,
}

/// Takes the pieces that have come while others were written; `refills` times that has been done before
/// in this turn.
#[cold]
pub(crate) fn refill(
    connections: &mut Connections,
    ledger: &mut Ledger,
    slot: u32,
    mut job: Box<Job>,
    refills: usize,
) -> Refill {
    let now_ms = connections.clock.now_ms();
    let Some(flow) = &mut job.flow else { return Refill::Pieces(job) };
    if !std::mem::replace(&mut flow.is_counted, true) {
        ledger.counters.streams_begun.add(1);
    }
    if refills >= REFILLS_PER_TURN_MAX {
        // A fast sender: the others first.
        let again = job.reply_to;
        job.reply.clear();
        wait(connections, slot, job);
        connections.mailbox.put_back(again);
        return Refill::Nothing;
    }
    job.reply.clear();
    match flow.take(&mut job.reply, now_ms) {
        Taken::Pieces => Refill::Pieces(job),
        Taken::Nothing => {
            wait(connections, slot, job);
            Refill::Nothing
        }
        Taken::End => {
            end(ledger, &mut job);
            Refill::Pieces(job)
        }
        Taken::Break => {
            // RFC 9112 section 8: without its last chunk, or with too few bytes, the peer knows that it
            // is not whole. Where neither is there, a reset has to say so.
            let resets = flow.terms.ends_with_connection;
            end(ledger, &mut job);
            job.give_up_rest();
            if let Some(connection) = connections.get(slot) {
                connection.resets = resets;
            }
            Refill::Pieces(job)
        }
    }
}

/// Notes the end of an answer in pieces, if the job has one, however it came.
pub(crate) fn end(ledger: &mut Ledger, job: &mut Job) {
    let Some(flow) = &job.flow else { return };
    if flow.is_counted {
        ledger.counters.streams_ended.add(1);
        ledger.counters.stream_bytes.add(flow.bytes);
    }
    job.end_flow();
    ledger.collected(job);
}

/// The connection waits for the next piece.
fn wait(connections: &mut Connections, slot: u32, mut job: Box<Job>) {
    let now_ms = connections.clock.now_ms();
    let idle_ms = connections.stream_idle_ms();
    let Some(connection) = connections.get(slot) else {
        return connections.jobs.give_back(job);
    };
    let has_closed_side = connection.end_seen || connection.read_closed;
    if let Some(flow) = &mut job.flow {
        if flow.sent_ms == 0 {
            (flow.sent_ms, flow.piece_ms) = (now_ms, now_ms);
        }
        if has_closed_side {
            flow.disconnects_ms = flow.disconnects_ms.min(now_ms + HALF_CLOSED_MS);
        }
    }
    job.slim();
    let deadline_ms = deadline_ms(&job, idle_ms);
    connection.phase = Phase::Streaming;
    connection.awaiting = Awaiting::Piece;
    connection.outbound = Some(Outbound { job, written: 0 });
    connections.set_deadline(slot, deadline_ms);
}

/// When a stream is looked at that may be silent for so long, if no piece comes.
pub(crate) fn deadline_ms(job: &Job, idle_ms: u64) -> u64 {
    let Some(flow) = &job.flow else { return FOR_EVER_MS };
    let keep_alive_ms = match flow.terms.keep_alive_ms {
        0 => FOR_EVER_MS,
        span_ms => flow.sent_ms.saturating_add(span_ms),
    };
    let idle_ms = flow.piece_ms.saturating_add(idle_ms);
    keep_alive_ms.min(idle_ms).min(flow.disconnects_ms).min(FOR_EVER_MS)
}
