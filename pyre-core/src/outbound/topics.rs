//! Step 12 for what is published: one publication goes to one of its subscribers. Hot path.

use std::sync::Arc;

use pyre_interp::flow::topics::{Member, Publication};
use pyre_interp::flow::{Offered, Outflow};
use pyre_interp::job::Job;

use crate::connection::state::{Connection, Outbound, Phase};
use crate::connection::table::Connections;

/// What became of it.
pub(crate) enum Delivered {
    /// It is written.
    Written,
    /// It waits behind what the connection has to write, and is counted with that.
    Queued,
    /// What the socket has not taken is in the reply of this job, to be written.
    Partly(Box<Job>),
    /// The subscriber does not read: it is to be dropped.
    Full,
    /// It cannot hear it any more, or never could.
    Over,
}

/// Delivers a publication to a subscriber: straight into the socket if nothing else waits for that, and
/// through its flow if something does.
pub(crate) fn deliver(
    connections: &mut Connections,
    publication: &Publication,
    member: &Member,
) -> Delivered {
    let now_ms = connections.clock.now_ms();
    let to = member.connection;
    let connection = connections.get_exactly(to.slot, to.generation);
    let idle = connection.and_then(|connection| {
        if is_idle(connection, &member.flow) { Some(connection) } else { None }
    });
    let Some(connection) = idle else {
        return match member.flow.offer(member.form, publication) {
            Offered::Write | Offered::Taken => Delivered::Queued,
            Offered::Full => Delivered::Full,
            Offered::Over => Delivered::Over,
        };
    };
    let Some(Outbound { job, .. }) = &mut connection.outbound else { return Delivered::Over };
    let Some(flow) = &mut job.flow else { return Delivered::Over };
    match flow.offer(member.form, publication, now_ms) {
        Offered::Write => {}
        Offered::Taken => return Delivered::Queued,
        Offered::Full => return Delivered::Full,
        Offered::Over => return Delivered::Over,
    }
    let bytes = publication.form(member.form).unwrap_or_default();
    // What is left is written as everything is.
    let sent = connection.transport.send_some(bytes);
    if sent == bytes.len() {
        return Delivered::Written;
    }
    let Some(Outbound { mut job, .. }) = connection.outbound.take() else {
        return Delivered::Over;
    };
    job.reply.extend_from_slice(&bytes[sent..]);
    Delivered::Partly(job)
}

/// Whether this flow is what the connection answers with, and it has nothing to write.
fn is_idle(connection: &mut Connection, flow: &Arc<Outflow>) -> bool {
    if connection.phase != Phase::Streaming || !connection.answers_with(flow) {
        return false;
    }
    let Some(Outbound { job, .. }) = &connection.outbound else { return false };
    if !job.reply.is_empty() {
        return false;
    }
    match connection.protocol.socket() {
        Some(socket) => !socket.has_news() && !socket.has_closed(),
        None => job.flow.as_ref().is_some_and(|of_job| of_job.upgrade.is_none()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use pyre_http::h1::serialize::Delimited;
    use pyre_http::span::Span;
    use pyre_http::websocket::receive::Kind;
    use pyre_interp::flow::topics::{Message, Topics};
    use pyre_interp::flow::{Downstream, FLOW_BYTES_MAX, Reader, Subscribed, Terms};
    use pyre_interp::job::{ConnectionId, Entry};

    use super::*;
    use crate::metrics::ledger::Ledger;
    use crate::outbound::flush::flush;
    use crate::outbound::flush::tests::one;

    const TO: ConnectionId = ConnectionId { reactor: 0, slot: 0, generation: 0 };

    /// A connection that answers with an event stream which has subscribed to `t`.
    struct Rig {
        connections: Connections,
        ledger: Ledger,
        peer: UnixStream,
        topics: Arc<Topics>,
        flow: Arc<Outflow>,
    }

    impl Rig {
        fn new() -> Self {
            let (mut connections, mut ledger, peer) = one();
            let topics = Topics::new(&[connections.mailbox.clone()]);
            let flow = Arc::new(Outflow::default());
            let reader = Reader { connection: TO, mailbox: connections.mailbox.clone() };
            flow.attach_to(reader, Delimited::Close, &topics);
            assert_eq!(flow.subscribe("t", None), Subscribed::Yes);
            let mut job = Job::new();
            job.reply_to = TO;
            job.entries.push(Entry::Answer(Span { start: 0, end: 0 }));
            job.next = 1;
            job.flow = Some(Box::new(Downstream::new(flow.clone(), Terms::default())));
            assert!(flush(&mut connections, &mut ledger, 0, job, 0).is_none());
            Self { connections, ledger, peer, topics, flow }
        }

        /// Publishes and delivers.
        fn publish(&mut self, text: &str) -> Delivered {
            let message = Message::new("t", Kind::Text, text.into(), None, None).unwrap();
            assert!(self.topics.publish(self.topics.encode(message), Duration::ZERO).is_ok());
            let board = self.topics.board(0);
            let publication = board.next().unwrap();
            assert!(board.next().is_none());
            let mut hearers = Vec::new();
            board.hearers(&publication, 0, 2, &mut hearers);
            let [(_, member)] = &hearers[..] else { panic!("one listens") };
            deliver(&mut self.connections, &publication, member)
        }

        fn read(&mut self, expected: &str) {
            let mut got = vec![0; expected.len()];
            self.peer.read_exact(&mut got).unwrap();
            assert_eq!(std::str::from_utf8(&got), Ok(expected));
        }
    }

    #[test]
    fn what_is_published_is_written_at_once_if_nothing_waits() {
        let mut rig = Rig::new();
        for text in ["a", "b"] {
            assert!(matches!(rig.publish(text), Delivered::Written));
            rig.read(&format!("data: {text}\n\n"));
        }
        let connection = rig.connections.get(0).unwrap();
        assert_eq!(connection.phase, Phase::Streaming);
        let Some(Outbound { job, written: 0 }) = &connection.outbound else { panic!("it waits") };
        assert_eq!((job.reply.len(), job.flow.as_ref().unwrap().known.count), (0, 2));
    }

    #[test]
    fn it_goes_behind_what_the_program_has_sent() {
        let mut rig = Rig::new();
        rig.flow.push(b"data: own\n\n");
        assert!(matches!(rig.publish("a"), Delivered::Queued));
        let Outbound { job, written } = rig.connections.take_outbound(0).unwrap();
        assert!(flush(&mut rig.connections, &mut rig.ledger, 0, job, written).is_none());
        rig.read("data: own\n\ndata: a\n\n");
    }

    #[test]
    fn what_the_socket_does_not_take_waits_and_beyond_the_bound_nothing_does() {
        let mut rig = Rig::new();
        let large = "x".repeat(FLOW_BYTES_MAX);
        let job = loop {
            match rig.publish(&large) {
                Delivered::Written => {}
                Delivered::Partly(job) => break job,
                _ => panic!("it is the first that waits"),
            }
        };
        assert!((1..large.len() + 9).contains(&job.reply.len()));
        assert!(flush(&mut rig.connections, &mut rig.ledger, 0, job, 0).is_none());
        assert_eq!(rig.connections.get(0).unwrap().phase, Phase::Writing);
        assert!(matches!(rig.publish(&large), Delivered::Queued));
        assert!(matches!(rig.publish("y"), Delivered::Full));
        rig.connections.close(0);
        assert_eq!(rig.topics.subscriptions(), 0);
    }

    #[test]
    fn a_peer_that_is_gone_shows_where_it_is_written() {
        let mut rig = Rig::new();
        drop(std::mem::replace(&mut rig.peer, UnixStream::pair().unwrap().0));
        let Delivered::Partly(job) = rig.publish("a") else { panic!("nobody takes it") };
        assert!(flush(&mut rig.connections, &mut rig.ledger, 0, job, 0).is_none());
        assert_eq!((rig.connections.open(), rig.topics.subscriptions()), (0, 0));
    }
}
