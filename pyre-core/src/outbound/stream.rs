//! An answer in pieces: when all that is there is written, the next pieces take its place in the reply.

use pyre_interp::flow::Taken;
use pyre_interp::job::Job;

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::connection::table::Connections;
use crate::metrics::ledger::Ledger;
use crate::outbound::{file, socket};
use crate::settings::bounds::{HALF_CLOSED_MS, REFILLS_PER_TURN_MAX, SPARE_BYTES_MAX, SPARE_MS};
use crate::shared::frozen::{FOR_EVER_MS, unlimited};

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
    if flow.file.is_some() {
        return file::refill(connections, ledger, slot, job);
    }
    // A WebSocket is counted once it is one.
    if flow.upgrade.is_none() && !std::mem::replace(&mut flow.is_counted, true) {
        ledger.counters.streams_begun.add(1);
        if connections.is_draining() {
            flow.flow().end_if_let_go();
        }
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
    if flow.upgrade.is_some() || connections.get(slot).is_some_and(|it| it.protocol.is_socket()) {
        return socket::refill(connections, ledger, slot, job);
    }
    match flow.take(&mut job.reply, now_ms) {
        Taken::Pieces => Refill::Pieces(job),
        Taken::Nothing => {
            rest(connections, slot, job);
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
    if flow.is_counted && flow.known.is_upgraded {
        ledger.counters.sockets_ended.add(1);
    } else if flow.is_counted {
        ledger.counters.streams_ended.add(1);
        ledger.counters.stream_bytes.add(flow.known.bytes);
    }
    let close_code = flow.inbox.as_ref().map(|inbox| inbox.close_code());
    job.end_flow();
    ledger.ended(job, close_code);
}

/// All has been written that there was: the connection waits, and may keep its buffers for a while.
pub(super) fn rest(connections: &mut Connections, slot: u32, mut job: Box<Job>) {
    let until_ms = connections.clock.now_ms() + SPARE_MS;
    if let Job { flow: Some(flow), reply, .. } = &mut *job {
        flow.rest(reply, &connections.spare, SPARE_BYTES_MAX, until_ms);
    }
    wait(connections, slot, job);
}

/// The connection waits for the next piece.
pub(super) fn wait(connections: &mut Connections, slot: u32, mut job: Box<Job>) {
    let now_ms = connections.clock.now_ms();
    let idle_ms = connections.stream_idle_ms();
    let Some(connection) = connections.get(slot) else {
        return connections.jobs.give_back(job);
    };
    let has_closed_side = connection.has_closed_side();
    let body_ms = connection.body_deadline_ms();
    let socket_ms = connection.protocol.socket().map(|socket| socket.deadline_ms());
    if let Some(flow) = &mut job.flow
        && socket_ms.is_none()
    {
        if flow.sent_ms == 0 {
            (flow.sent_ms, flow.piece_ms) = (now_ms, now_ms);
        }
        if has_closed_side {
            // It has just taken all that there was. If it has gone, the next piece is refused; without
            // one, nothing tells.
            flow.disconnects_ms = now_ms + HALF_CLOSED_MS;
        }
    }
    job.slim();
    let deadline_ms = match (socket_ms, &job.flow) {
        (Some(socket_ms), Some(flow)) => socket_ms.min(flow.kept_until_ms),
        _ => deadline_ms(&job, idle_ms).min(body_ms),
    };
    connection.phase = Phase::Streaming;
    connection.awaiting = Awaiting::Piece;
    connection.outbound = Some(Outbound { job, written: 0 });
    connections.set_deadline(slot, deadline_ms);
}

/// When a stream is looked at that may be silent for so long, if no piece comes.
pub(crate) fn deadline_ms(job: &Job, idle_ms: u64) -> u64 {
    let Some(flow) = &job.flow else { return FOR_EVER_MS };
    let looks_ms = flow.disconnects_ms.min(flow.kept_until_ms).min(FOR_EVER_MS);
    if let Some(upgrade) = &flow.upgrade {
        let until_ms = flow.sent_ms.saturating_add(unlimited(upgrade.timeout_ms));
        return until_ms.min(looks_ms);
    }
    let keep_alive_ms = match flow.terms.keep_alive_ms {
        0 => FOR_EVER_MS,
        span_ms => flow.sent_ms.saturating_add(span_ms),
    };
    let idle_ms = flow.piece_ms.saturating_add(idle_ms);
    keep_alive_ms.min(idle_ms).min(looks_ms)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use pyre_http::h1::reader::{Next, RequestReader};
    use pyre_http::h1::serialize::Delimited;
    use pyre_http::limits::Limits;
    use pyre_interp::flow::{Downstream, FLOW_BYTES_MAX, Outflow, Pushed, Reader, Terms};
    use pyre_interp::job::{Call, ConnectionId, Entry, Pool, Target};

    use super::*;
    use crate::dispatch::admission::Admission;
    use crate::dispatch::hand_over::Dispatch;
    use crate::dispatch::workers::Workers;
    use crate::outbound::collect::collect;
    use crate::outbound::flush::flush;
    use crate::outbound::flush::tests::one;

    const TO: ConnectionId = ConnectionId { reactor: 0, slot: 0, generation: 0 };

    /// A job with so many requests, of which the first is answered in pieces, and its sender's end.
    fn job(connections: &Connections, requests: usize) -> (Box<Job>, Arc<Outflow>) {
        let mut job = Job::new();
        job.reply_to = TO;
        job.bytes.extend_from_slice(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let limits = Limits::default();
        let read = RequestReader::new().next(&mut job.bytes, &mut job.headers, &limits);
        let Ok(Next::Request(request)) = read else { panic!("it is whole") };
        let call = Call::new(request, (0, 0), Target::Fallback, Pool::Workers);
        job.entries.resize(requests, Entry::Call(call));
        job.reply.extend_from_slice(b"head;");
        job.note_answer(200, 0);
        job.next = 1;
        let flow = Arc::new(Outflow::default());
        let reader = Reader { connection: TO, mailbox: connections.mailbox.clone() };
        flow.attach(reader, Delimited::Chunked);
        job.flow = Some(Box::new(Downstream::new(flow.clone(), Terms::default())));
        (job, flow)
    }

    /// As the reactor does that finds the connection in its mailbox.
    fn go_on(connections: &mut Connections, ledger: &mut Ledger) -> Option<Box<Job>> {
        assert_eq!(connections.mailbox.take(), Some(TO));
        assert_eq!(connections.get(0).unwrap().phase, Phase::Streaming);
        let Outbound { job, written } = connections.take_outbound(0).unwrap();
        flush(connections, ledger, 0, job, written)
    }

    fn read(peer: &mut UnixStream, expected: &str) {
        let mut got = vec![0; expected.len()];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(std::str::from_utf8(&got), Ok(expected));
    }

    #[test]
    fn pieces_are_written_as_they_come_and_the_answer_is_noted_once_at_its_end() {
        let (mut connections, mut ledger, mut peer) = one();
        let (streamed, flow) = job(&connections, 1);
        flow.push(b"a");
        assert!(flush(&mut connections, &mut ledger, 0, streamed, 0).is_none());
        read(&mut peer, "head;1\r\na\r\n");
        let connection = connections.get(0).unwrap();
        assert_eq!((connection.phase, connection.awaiting), (Phase::Streaming, Awaiting::Piece));
        assert_eq!(connections.streams(), 1);
        assert_eq!(ledger.counters.requests.get(), 0);
        for piece in ["bc", "d"] {
            flow.push(piece.as_bytes());
            assert!(go_on(&mut connections, &mut ledger).is_none());
            read(&mut peer, &format!("{}\r\n{piece}\r\n", piece.len()));
        }
        flow.end();
        assert!(go_on(&mut connections, &mut ledger).is_none());
        read(&mut peer, "0\r\n\r\n");
        let connection = connections.get(0).unwrap();
        assert_eq!((connection.phase, connection.awaiting), (Phase::Reading, Awaiting::Request));
        let counters = &ledger.counters;
        let counted = [&counters.requests, &counters.streams_begun, &counters.streams_ended];
        assert_eq!(counted.map(|tally| tally.get()), [1; 3]);
        assert_eq!(counters.stream_bytes.get(), 4);
        assert!(!flow.is_gone(), "the client has all of it");
    }

    #[test]
    fn a_request_behind_one_that_is_answered_in_pieces_waits_for_its_end() {
        let (mut connections, mut ledger, mut peer) = one();
        let (streamed, flow) = job(&connections, 2);
        assert!(flush(&mut connections, &mut ledger, 0, streamed, 0).is_none());
        flow.push(b"a");
        flow.end();
        let left = go_on(&mut connections, &mut ledger).expect("one is left");
        read(&mut peer, "head;1\r\na\r\n0\r\n\r\n");
        assert_eq!((left.next, left.counted, left.reply.len()), (1, 1, 0));
        assert!(!left.is_finished() && left.flow.is_none());
    }

    #[test]
    fn an_answer_that_breaks_off_is_the_last_one() {
        let (mut connections, mut ledger, mut peer) = one();
        let (streamed, flow) = job(&connections, 2);
        flow.push(b"a");
        flow.fail();
        assert!(flush(&mut connections, &mut ledger, 0, streamed, 0).is_none());
        let mut got = String::new();
        peer.read_to_string(&mut got).unwrap();
        assert_eq!(got, "head;1\r\na\r\n", "without its last chunk");
        assert_eq!(connections.get(0).unwrap().phase, Phase::Lingering);
        assert_eq!(ledger.counters.requests.get(), 1);
    }

    #[test]
    fn pieces_that_the_socket_does_not_take_wait_and_their_sender_with_them() {
        let (mut connections, mut ledger, mut peer) = one();
        let (streamed, flow) = job(&connections, 1);
        assert!(flush(&mut connections, &mut ledger, 0, streamed, 0).is_none());
        let piece = vec![b'x'; FLOW_BYTES_MAX];
        let mut sent = 0;
        while flow.push(&piece) != Pushed::Full {
            sent += 1;
            if connections.get(0).unwrap().phase == Phase::Streaming {
                assert!(go_on(&mut connections, &mut ledger).is_none());
            }
        }
        assert_eq!(connections.get(0).unwrap().phase, Phase::Writing);
        assert!(connections.mailbox.is_empty(), "who writes looks by itself");
        flow.end();
        peer.set_nonblocking(true).unwrap();
        let (mut got, mut buffer) = (0, vec![0; 1 << 20]);
        while let Some(Outbound { job, written }) = connections.take_outbound(0) {
            while let Ok(count @ 1..) = peer.read(&mut buffer) {
                got += count;
            }
            assert!(flush(&mut connections, &mut ledger, 0, job, written).is_none());
        }
        while let Ok(count @ 1..) = peer.read(&mut buffer) {
            got += count;
        }
        let frame = "40000\r\n\r\n".len();
        assert_eq!(got, "head;".len() + sent * (piece.len() + frame) + "0\r\n\r\n".len());
        assert_eq!(ledger.counters.requests.get(), 1);
    }

    #[test]
    fn a_fast_sender_lets_the_others_go_first() {
        let (mut connections, mut ledger, _peer) = one();
        let (streamed, flow) = job(&connections, 1);
        flow.push(b"a");
        let refilled = refill(&mut connections, &mut ledger, 0, streamed, REFILLS_PER_TURN_MAX);
        assert!(matches!(refilled, Refill::Nothing));
        // It stands in the mailbox once, whatever is sent meanwhile.
        flow.push(b"b");
        assert!(go_on(&mut connections, &mut ledger).is_none());
        assert!(connections.mailbox.is_empty());
    }

    #[test]
    fn a_peer_that_is_gone_breaks_the_flow() {
        let (mut connections, mut ledger, peer) = one();
        let (streamed, flow) = job(&connections, 1);
        assert!(flush(&mut connections, &mut ledger, 0, streamed, 0).is_none());
        drop(peer);
        flow.push(b"a");
        assert!(go_on(&mut connections, &mut ledger).is_none());
        assert!(flow.is_gone());
        assert_eq!((connections.open(), ledger.counters.requests.get()), (0, 1));
        assert_eq!(ledger.counters.streams_ended.get(), 1);
    }

    #[test]
    fn an_answer_that_begins_when_its_connection_has_gone_is_noted_once() {
        let (mut connections, mut ledger, _peer) = one();
        let (streamed, flow) = job(&connections, 1);
        let workers = Workers::new(Vec::new(), 0, 1);
        let mut dispatch = Dispatch::new(workers, Admission::new(None), Arc::default(), None);
        connections.close(0);
        assert!(collect(&mut connections, &mut ledger, &mut dispatch, streamed).is_none());
        assert!(flow.is_gone());
        assert_eq!(ledger.counters.requests.get(), 1);
    }

    #[test]
    fn a_connection_that_closes_breaks_the_flow() {
        let (mut connections, mut ledger, _peer) = one();
        let (streamed, flow) = job(&connections, 1);
        assert!(flush(&mut connections, &mut ledger, 0, streamed, 0).is_none());
        connections.close(0);
        assert!(flow.is_gone());
        assert_eq!(flow.push(b"a"), Pushed::Gone);
        assert!(connections.mailbox.is_empty());
    }

    #[test]
    fn a_client_that_has_closed_its_side_counts_as_gone_soon() {
        let (mut connections, mut ledger, _peer) = one();
        let (streamed, flow) = job(&connections, 1);
        connections.get(0).unwrap().end_seen = true;
        assert!(flush(&mut connections, &mut ledger, 0, streamed, 0).is_none());
        let deadline_ms = connections.get(0).unwrap().deadline_ms;
        assert!(deadline_ms <= connections.clock.now_ms() + HALF_CLOSED_MS);
        assert!(flow.is_open(), "it may read on");
    }

    #[test]
    fn a_stream_is_looked_at_when_the_first_of_its_times_is_over() {
        let (connections, ..) = one();
        let (mut job, _flow) = job(&connections, 1);
        let flow = job.flow.as_mut().unwrap();
        (flow.sent_ms, flow.piece_ms) = (100, 50);
        assert_eq!(deadline_ms(&job, FOR_EVER_MS), FOR_EVER_MS);
        assert_eq!(deadline_ms(&job, 1_000), 1_050);
        job.flow.as_mut().unwrap().terms.keep_alive_ms = 30;
        assert_eq!(deadline_ms(&job, 1_000), 130);
        job.flow.as_mut().unwrap().disconnects_ms = 120;
        assert_eq!(deadline_ms(&job, 1_000), 120);
    }

    #[test]
    fn a_job_that_waits_for_pieces_keeps_little() {
        let (mut connections, mut ledger, _peer) = one();
        let (mut streamed, _flow) = job(&connections, 1);
        streamed.bytes.resize(100_000, b'x');
        assert!(flush(&mut connections, &mut ledger, 0, streamed, 0).is_none());
        let Outbound { job, .. } = connections.take_outbound(0).unwrap();
        assert!(job.bytes.capacity() < 100, "{} bytes", job.bytes.capacity());
    }
}
