//! Steps 2 and 3 for a body whose handler runs already: it is read, and goes on its way as it comes.

use std::io;

use pyre_http::h1::serialize::ResponseHeads;
use pyre_http::limits::Limits;
use pyre_interp::flow::{Cut, inflow};
use pyre_interp::job::Job;

use crate::connection::state::Connection;
use crate::connection::table::Connections;
use crate::connection::upload::Upload;
use crate::inbound::route;
use crate::metrics::ledger::Ledger;
use crate::shared::frozen::Routes;

/// What came of reading once.
pub(crate) enum Got {
    /// There may be more to read.
    More,
    /// Nothing, until something happens.
    Nothing,
    /// All of the body, or more than may be: nothing of it is read any more.
    End,
    /// The end of the connection.
    Gone,
}

/// Adds the request whose head is there to the job, which has no other one. Its body follows.
#[cold]
pub(crate) fn begin(
    routes: &Routes,
    heads: &ResponseHeads,
    ledger: &mut Ledger,
    job: &mut Job,
    connection: &mut Connection,
    limits: &Limits,
) {
    let Some(requests) = connection.protocol.requests() else { return };
    let Ok(Some((request, first))) = requests.begin_body(job, limits) else { return };
    connection.last = !request.keep_alive;
    ledger.came_in += 1;
    let (flow, intake) = inflow(request.expects_continue && first.is_empty());
    flow.push(&first);
    job.intake = Some(intake);
    connection.upload = Some(Box::new(Upload::new(flow)));
    route::admit(routes, heads, ledger, job, &request);
}

/// Reads once from the body of a connection, if there is room for it.
pub(crate) fn read(connections: &mut Connections, limits: &Limits, slot: u32) -> Got {
    let Some((connection, jobs, scratch)) = connections.get_with_room(slot) else {
        return Got::Nothing;
    };
    let Some(upload) = &mut connection.upload else { return Got::Nothing };
    let Some(requests) = connection.protocol.requests() else { return Got::Nothing };
    if upload.is_broken || !connection.readable {
        return Got::Nothing;
    }
    if !upload.flow.has_room() {
        // Nobody reads as far as the end, so it is looked for: that all which is missing waits in the socket
        // is not always known, but that it does not is.
        let missing = requests.rest_bytes_min();
        if connection.end_seen && (connection.transport.received_bytes() as u64) < missing {
            return Got::Gone;
        }
        connections.await_body(slot, false);
        return Got::Nothing;
    }
    let received = match connection.transport.receive(scratch) {
        Ok(0) => return Got::Gone,
        Ok(received) => {
            connection.readable = received == scratch.capacity() || connection.end_seen;
            received
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            connection.readable = false;
            if upload.has_no_limit() {
                connections.await_body(slot, true);
            }
            return Got::Nothing;
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Got::More,
        Err(_) => return Got::Gone,
    };
    let part = requests.read_body(scratch, limits);
    // What lies behind the end is the next request, which is still owed an answer.
    let taken = part.map_or(received, |part| part.end.unwrap_or(received));
    connection.owed_bytes = connection.owed_bytes.saturating_sub(taken);
    match part {
        Err(error) => {
            // Where the next request would begin is not known (RFC 9112 section 11.2).
            upload.flow.cut(Cut::Refused(error.status()));
            connection.last = true;
            connection.upload = None;
            Got::End
        }
        Ok(part) => {
            upload.flow.push(&scratch[..part.length]);
            let Some(end) = part.end else {
                connections.await_body(slot, true);
                return Got::More;
            };
            upload.flow.end();
            connection.upload = None;
            if end < scratch.len() && !connection.last {
                let mut rest = jobs.take();
                rest.bytes.extend_from_slice(&scratch[end..]);
                connection.inbound = Some(rest);
            }
            Got::End
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use pyre_interp::flow::{FLOW_BYTES_MAX, Found, Intake, Mailbox, Reader};
    use pyre_interp::job::{Client, ConnectionId};

    use super::*;
    use crate::connection::protocol::Next;
    use crate::connection::state::Phase;
    use crate::connection::transport::Transport;
    use crate::connection::waits::Spans;
    use crate::settings::bounds::UPLOAD_READ_BYTES;

    const HEAD: &[u8] =
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";

    /// A connection in slot 0 whose handler has the head, where bodies may be that long; what it reads by, and
    /// the peer's end of the socket.
    fn begun(body_bytes_max: usize) -> (Connections, Limits, Intake, Arc<Mailbox>, UnixStream) {
        let spans = Spans::all(1_000);
        let mailbox = Arc::new(Mailbox::new(Arc::new(pyre_interp::ring::Doorbell::new(|| {}))));
        let mut connections = Connections::new(spans, mailbox.clone());
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let transport = Transport::Unix(mio::net::UnixStream::from_std(ours));
        connections.insert(Connection::new(transport, Client::Local));
        let connection = connections.get(0).unwrap();
        let limits = Limits { body_bytes_max, ..Limits::default() };
        let mut job = Job::new();
        job.bytes.extend_from_slice(HEAD);
        let requests = connection.protocol.requests().unwrap();
        assert_eq!(requests.next(&mut job, &limits), Ok(Next::Partial));
        let (_, first) = requests.begin_body(&mut job, &limits).unwrap().unwrap();
        requests.rebase();
        let (flow, intake) = inflow(false);
        flow.push(&first);
        let to = ConnectionId { reactor: 0, slot: 0, generation: 0 };
        let upload = Upload::new(flow);
        upload.attach(Reader { connection: to, mailbox: mailbox.clone() });
        connection.upload = Some(Box::new(upload));
        connection.phase = Phase::Answering;
        connection.deadline_ms = u64::MAX;
        connection.readable = true;
        (connections, limits, intake, mailbox, theirs)
    }

    /// Reads until there is no more to read.
    fn read_all(connections: &mut Connections, limits: &Limits) -> Got {
        loop {
            match read(connections, limits, 0) {
                Got::More => {}
                got => return got,
            }
        }
    }

    fn taken(intake: &Intake) -> Vec<u8> {
        let mut all = Vec::new();
        intake.drain(&mut all);
        all
    }

    #[test]
    fn what_comes_is_handed_on_decoded_and_the_next_request_is_kept() {
        let (mut connections, limits, intake, _, mut peer) = begun(100);
        peer.write_all(b"2\r\nde\r").unwrap();
        assert!(matches!(read_all(&mut connections, &limits), Got::Nothing));
        assert_eq!(taken(&intake), b"abcde");
        let rest = b"\n0\r\nA: b\r\n\r\nGET / ";
        peer.write_all(rest).unwrap();
        let connection = connections.get(0).unwrap();
        connection.readable = true;
        connection.owed_bytes = rest.len();
        assert!(matches!(read_all(&mut connections, &limits), Got::End));
        assert!(intake.has_come());
        let connection = connections.get(0).unwrap();
        assert!(connection.upload.is_none() && !connection.last);
        assert_eq!(connection.inbound.as_ref().unwrap().bytes, b"GET / ");
        // That has been received when the server began to leave, and is to be answered.
        assert_eq!(connection.owed_bytes, b"GET / ".len());
    }

    #[test]
    fn reading_stops_while_there_is_no_room() {
        let (mut connections, limits, intake, mailbox, mut peer) = begun(4 * FLOW_BYTES_MAX);
        peer.set_nonblocking(true).unwrap();
        // More than the socket and two fillings of the flow.
        peer.write_all(b"ff000\r\n").unwrap();
        for _ in 0..2 {
            loop {
                while peer.write(&[7; 10_000]).is_ok() {}
                connections.get(0).unwrap().readable = true;
                if !matches!(read(&mut connections, &limits, 0), Got::More) {
                    break;
                }
            }
            // It is for the handler to go on, and its client is not waited for.
            let upload = connections.get(0).unwrap().upload.as_ref().unwrap();
            assert!(!upload.flow.has_room() && upload.has_no_limit());
            let filling = FLOW_BYTES_MAX..FLOW_BYTES_MAX + UPLOAD_READ_BYTES;
            assert!(filling.contains(&taken(&intake).len()));
            assert!(mailbox.take().is_some());
        }
    }

    #[test]
    fn a_peer_that_goes_before_the_end_is_found_though_there_is_no_room() {
        // One that has sent all of it may have said all that it wants to.
        for (rest, is_found) in [(&b"7777\r\n0\r\n\r\n"[..], false), (b"777", true)] {
            let (mut connections, limits, _intake, _, mut peer) = begun(2 * FLOW_BYTES_MAX);
            connections.get(0).unwrap().end_seen = true;
            let filled = FLOW_BYTES_MAX + UPLOAD_READ_BYTES;
            peer.set_nonblocking(true).unwrap();
            peer.write_all(format!("{:x}\r\n", filled + 4).as_bytes()).unwrap();
            let mut left = filled;
            while connections.get(0).unwrap().upload.as_ref().unwrap().flow.has_room() {
                let sent = peer.write(&vec![7; left.min(UPLOAD_READ_BYTES)]).unwrap_or(0);
                left -= sent;
                assert!(matches!(read(&mut connections, &limits, 0), Got::More));
            }
            peer.write_all(&vec![7; left]).unwrap();
            peer.write_all(rest).unwrap();
            drop(peer);
            let got = read(&mut connections, &limits, 0);
            assert_eq!(matches!(got, Got::Gone), is_found);
        }
    }

    #[test]
    fn a_peer_that_goes_or_breaks_a_rule_is_told_apart() {
        let (mut connections, limits, intake, _, peer) = begun(100);
        drop(peer);
        assert!(matches!(read_all(&mut connections, &limits), Got::Gone));
        assert_eq!(taken(&intake), b"abc");
        connections.close(0);
        assert_eq!(intake.drain(&mut Vec::new()), Found::Cut(Cut::Gone));

        for (wrong, status) in [(&b"62\r\n"[..], 413), (b"x", 400)] {
            let (mut connections, limits, intake, _, mut peer) = begun(100);
            peer.write_all(wrong).unwrap();
            assert!(matches!(read_all(&mut connections, &limits), Got::End));
            let connection = connections.get(0).unwrap();
            assert!(connection.last && connection.upload.is_none());
            assert_eq!(intake.drain(&mut Vec::new()), Found::Cut(Cut::Refused(status)));
        }
    }
}
