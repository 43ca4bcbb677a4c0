//! Step 12: bytes are written, in one call per connection and turn. Hot path.

use std::io;

use pyre_interp::job::Job;

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::connection::table::Connections;
use crate::metrics::ledger::Ledger;
use crate::outbound::stream::{self, Refill};

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
    let mut refills = 0;
    let is_told_last = loop {
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
                    stream::end(ledger, &mut job);
                    connections.jobs.give_back(job);
                    connections.close(slot);
                    return None;
                }
            }
        }
        connection.phase = Phase::Reading;
        if job.flow.is_none() {
            // Where a request would begin behind a body that has not come is not known.
            break connection.last || connection.upload.is_some();
        }
        (job, written) = match stream::refill(connections, ledger, slot, job, refills) {
            Refill::Pieces(job) => (job, 0),
            Refill::Nothing => return None,
        };
        refills += 1;
    };
    if !job.is_finished() {
        job.reply.clear();
        return Some(job);
    }
    let is_last = is_told_last || job.closes;
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

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use pyre_http::span::Span;
    use pyre_interp::job::{Client, Entry};

    use super::*;
    use crate::connection::state::Connection;
    use crate::connection::transport::Transport;
    use crate::connection::waits::Spans;
    use crate::shared::counters::Counters;

    /// A connection in slot 0, what notes its answers, and the peer's end of its socket.
    pub(in crate::outbound) fn one() -> (Connections, Ledger, UnixStream) {
        let spans = Spans::all(1_000);
        let doorbell = Arc::new(pyre_interp::ring::Doorbell::new(|| {}));
        let mailbox = Arc::new(pyre_interp::flow::Mailbox::new(doorbell));
        let mut connections = Connections::new(spans, mailbox);
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let transport = Transport::Unix(mio::net::UnixStream::from_std(ours));
        connections.insert(Connection::new(transport, Client::Local));
        (connections, Ledger::new(Arc::new(Counters::new(None)), None), theirs)
    }

    /// A job with so many ready answers of one byte, `answered` of which are in the reply.
    fn job(answers: usize, answered: usize) -> Box<Job> {
        let mut job = Job::new();
        job.entries.resize(answers, Entry::Answer(Span { start: 0, end: 1 }));
        job.next = answered;
        job.reply.resize(answered, b'a');
        job
    }

    #[test]
    fn a_finished_job_is_written_and_the_next_request_awaited() {
        let (mut connections, mut ledger, mut peer) = one();
        assert!(flush(&mut connections, &mut ledger, 0, job(2, 2), 0).is_none());
        let mut got = [0; 2];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"aa");
        let connection = connections.get(0).unwrap();
        assert_eq!((connection.phase, connection.awaiting), (Phase::Reading, Awaiting::Request));
        assert_eq!(ledger.counters.requests.get(), 2);
    }

    #[test]
    fn what_is_left_of_a_job_comes_back() {
        let (mut connections, mut ledger, _peer) = one();
        let left = flush(&mut connections, &mut ledger, 0, job(3, 1), 0).expect("two are left");
        assert_eq!((left.next, left.reply.len()), (1, 0));
    }

    #[test]
    fn what_the_socket_does_not_take_waits_for_it() {
        let (mut connections, mut ledger, mut peer) = one();
        let mut large = job(1, 1);
        large.reply.resize(8 << 20, b'a');
        assert!(flush(&mut connections, &mut ledger, 0, large, 0).is_none());
        assert_eq!(connections.get(0).unwrap().phase, Phase::Writing);
        let Outbound { job, written } = connections.take_outbound(0).expect("not all fits");
        assert!(written < job.reply.len());
        peer.read_exact(&mut vec![0; written]).unwrap();
        assert!(flush(&mut connections, &mut ledger, 0, job, written).is_none());
        assert_eq!(ledger.counters.requests.get(), 1);
    }

    #[test]
    fn a_peer_that_is_gone_frees_its_slot() {
        let (mut connections, mut ledger, peer) = one();
        drop(peer);
        assert!(flush(&mut connections, &mut ledger, 0, job(1, 1), 0).is_none());
        assert_eq!(connections.open(), 0);
    }
}
