//! Step 12 for WebSockets: what is written next, once all before it is. Hot path.

use pyre_interp::flow::Taken;
use pyre_interp::job::Job;

use crate::connection::protocol::Protocol;
use crate::connection::socket::Socket;
use crate::connection::table::Connections;
use crate::metrics::ledger::Ledger;
use crate::outbound::stream::{Refill, end, rest, wait};

/// Takes what the program, or the protocol itself, has to send; the reply of the job is empty.
pub(super) fn refill(
    connections: &mut Connections,
    ledger: &mut Ledger,
    slot: u32,
    mut job: Box<Job>,
) -> Refill {
    let now_ms = connections.clock.now_ms();
    let is_draining = connections.is_draining();
    let terms = connections.socket_terms();
    let Some(connection) = connections.get(slot) else { return Refill::Pieces(job) };
    let Some(flow) = &mut job.flow else { return Refill::Pieces(job) };
    if let Some(socket) = connection.protocol.socket() {
        if socket.take_control(&mut job.reply) {
            return Refill::Pieces(job);
        }
        if socket.is_over() {
            // Nothing is left but to let the peer read that.
            end(ledger, &mut job);
            return Refill::Pieces(job);
        }
        if socket.has_closed() {
            wait(connections, slot, job);
            return Refill::Nothing;
        }
    }
    let before = flow.known;
    let taken = flow.take(&mut job.reply, now_ms);
    // What refuses a handshake is no message.
    if flow.known.is_upgraded {
        ledger.counters.socket_sent.add(flow.known.count - before.count);
        ledger.counters.socket_sent_bytes.add(flow.known.bytes - before.bytes);
    }
    if flow.known.is_upgraded
        && let Some(upgrade) = flow.upgrade.take()
    {
        ledger.counters.sockets_begun.add(1);
        flow.is_counted = true;
        flow.inbox = Some(upgrade.feed.inbox().clone());
        let flow = flow.flow().clone();
        let mut socket =
            Socket::new(*upgrade, flow, terms.message_bytes_max, terms.ping_ms, now_ms);
        if is_draining {
            socket.say_goodbye();
        }
        connection.protocol = Protocol::WebSocket(Box::new(socket));
    }
    match taken {
        Taken::Pieces => Refill::Pieces(job),
        Taken::Nothing => {
            rest(connections, slot, job);
            Refill::Nothing
        }
        Taken::End => match connection.protocol.socket() {
            Some(socket) => {
                socket.has_sent_close(now_ms);
                Refill::Pieces(job)
            }
            // The handshake was refused.
            None => {
                end(ledger, &mut job);
                Refill::Pieces(job)
            }
        },
        Taken::Break => {
            end(ledger, &mut job);
            job.give_up_rest();
            Refill::Pieces(job)
        }
    }
}
