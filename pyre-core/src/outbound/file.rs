//! Step 12 for large files: from the file to the socket, a part at a time, as fast as the client takes it.
//! What is not in memory is read by a thread of the disk pool first.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyre_http::files::answer::Piece;
use pyre_interp::flow::Transfer;
use pyre_interp::job::{ConnectionId, Job};

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::connection::table::Connections;
use crate::metrics::ledger::Ledger;
use crate::outbound::stream::{Refill, end};
use crate::settings::bounds::{
    FILE_PROBE_BYTES, FILE_SEND_BYTES, FILE_SENDS_PER_TURN_MAX, FILE_WARM_BYTES,
};
use crate::sys;

/// What comes next of a transfer.
enum Next {
    /// Bytes that frame its parts.
    Text(Vec<u8>),
    /// So many bytes from there.
    Part(u64, u64),
    End,
}

/// Sends what the socket takes of the file that the job answers with; its reply is written.
#[cold]
pub(super) fn refill(
    connections: &mut Connections,
    ledger: &mut Ledger,
    slot: u32,
    mut job: Box<Job>,
) -> Refill {
    let to = job.reply_to;
    job.reply.clear();
    for _ in 0..FILE_SENDS_PER_TURN_MAX {
        let Some(flow) = &mut job.flow else { return Refill::Pieces(job) };
        let Some(transfer) = &mut flow.file else { return Refill::Pieces(job) };
        let (at, bytes) = match next(transfer) {
            Next::Text(text) => {
                flow.known.bytes += text.len() as u64;
                job.reply = text;
                return Refill::Pieces(job);
            }
            Next::Part(at, bytes) => (at, bytes),
            Next::End => {
                end(ledger, &mut job);
                return Refill::Pieces(job);
            }
        };
        if !is_warm(connections, transfer, to, at, bytes) {
            wait(connections, slot, job);
            return Refill::Nothing;
        }
        let Some(connection) = connections.get(slot) else { return Refill::Pieces(job) };
        match connection.transport.send_file(&transfer.file, at, bytes as usize) {
            Ok(0) => {
                // It has become shorter: the length that was promised cannot be kept, which the peer sees
                // from the end of the connection (RFC 9112 section 8).
                end(ledger, &mut job);
                job.give_up_rest();
                return Refill::Pieces(job);
            }
            Ok(sent) => {
                flow.known.bytes += sent as u64;
                if let Some(Piece::Part(at, left)) = transfer.pieces.front_mut() {
                    *at += sent as u64;
                    *left -= sent as u64;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.phase = Phase::Writing;
                connection.outbound = Some(Outbound { job, written: 0 });
                connections.await_next(slot, Awaiting::Writable);
                return Refill::Nothing;
            }
            // The peer is gone, or the file cannot be read.
            Err(_) => {
                end(ledger, &mut job);
                connections.jobs.give_back(job);
                connections.close(slot);
                return Refill::Nothing;
            }
        }
    }
    // A fast reader: the others first.
    wait(connections, slot, job);
    connections.mailbox.put_back(to);
    Refill::Nothing
}

fn next(transfer: &mut Transfer) -> Next {
    loop {
        match transfer.pieces.front() {
            None => return Next::End,
            Some(&Piece::Part(at, bytes)) if bytes > 0 => {
                return Next::Part(at, bytes.min(FILE_SEND_BYTES));
            }
            Some(_) => {}
        }
        if let Some(Piece::Text(text)) = transfer.pieces.pop_front() {
            return Next::Text(text);
        }
    }
}

/// Whether a part of a file is in memory; if it seems not to be, a thread begins to read it that may wait.
/// If none does, the reactor has to.
fn is_warm(
    connections: &Connections,
    transfer: &mut Transfer,
    to: ConnectionId,
    at: u64,
    bytes: u64,
) -> bool {
    if let Some(warming) = &transfer.warming {
        // The partner of the store in `warm`.
        if !warming.load(Ordering::Acquire) {
            return false;
        }
        transfer.warming = None;
    }
    if at + bytes <= transfer.warm_until || is_in_memory(&transfer.file, at, bytes) {
        return true;
    }
    let left = transfer.pieces.front().map_or(0, |piece| match piece {
        Piece::Part(_, left) => *left,
        Piece::Text(_) => 0,
    });
    let end = at + left.min(FILE_WARM_BYTES);
    let (file, mailbox, done) =
        (transfer.file.clone(), connections.mailbox.clone(), Arc::new(AtomicBool::new(false)));
    let is_done = done.clone();
    let task = move || {
        warm(&file, at, end);
        is_done.store(true, Ordering::Release);
        mailbox.put(to);
    };
    transfer.warm_until = end;
    match connections.disk.run(task) {
        Ok(()) => {
            transfer.warming = Some(done);
            false
        }
        Err(_full) => true,
    }
}

/// Whether a part of a file is in memory, as far as that shows in a few places.
fn is_in_memory(file: &File, at: u64, bytes: u64) -> bool {
    let last = at + bytes - 1;
    let mut places = (at..last).step_by(FILE_PROBE_BYTES as usize).chain([last]);
    places.all(|place| sys::read_now(file, &mut [0], place).is_ok())
}

/// Reads a part of a file, so that it is in memory.
fn warm(file: &File, mut at: u64, end: u64) {
    let mut buffer = vec![0; 64 * 1024];
    while at < end {
        let room = buffer.len().min((end - at) as usize);
        match file.read_at(&mut buffer[..room], at) {
            Ok(read) if read > 0 => at += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It ends here, or cannot be read: sending it will tell.
            Ok(_) | Err(_) => return,
        }
    }
}

/// The connection waits for a disk, or for its next turn.
fn wait(connections: &mut Connections, slot: u32, mut job: Box<Job>) {
    let deadline_ms = connections.clock.now_ms().saturating_add(connections.body_ms());
    let Some(connection) = connections.get(slot) else {
        return connections.jobs.give_back(job);
    };
    job.slim();
    connection.phase = Phase::Streaming;
    connection.awaiting = Awaiting::Piece;
    connection.outbound = Some(Outbound { job, written: 0 });
    connections.set_deadline(slot, deadline_ms);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::{Duration, Instant};

    use pyre_interp::flow::Downstream;
    use pyre_interp::job::Entry;

    use super::*;
    use crate::direct::files::pool::gate;
    use crate::outbound::flush::flush;
    use crate::outbound::flush::tests::one;
    use crate::sys::cold;

    const TO: ConnectionId = ConnectionId { reactor: 0, slot: 0, generation: 0 };

    /// An open file without a name, with these bytes.
    fn file(bytes: &[u8]) -> Arc<File> {
        let number = std::thread::current().id();
        let name = format!("pyre-sent-{}-{number:?}", std::process::id());
        let place = std::env::temp_dir().join(name);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&place)
            .unwrap();
        std::fs::remove_file(place).unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    /// A job that answers with these pieces of a file.
    fn job(file: &Arc<File>, pieces: Vec<Piece>) -> Box<Job> {
        let mut job = Job::new();
        job.reply_to = TO;
        job.entries.push(Entry::Answer(pyre_http::span::Span::EMPTY));
        job.next = 1;
        job.reply.extend_from_slice(b"head;");
        job.flow = Some(Downstream::of_file(Transfer::new(file.clone(), pieces)));
        job
    }

    fn go_on(connections: &mut Connections, ledger: &mut Ledger) {
        let Outbound { job, written } = connections.take_outbound(0).expect("it waits");
        assert!(flush(connections, ledger, 0, job, written).is_none());
    }

    fn wait_for_mail(connections: &Connections) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while connections.mailbox.is_empty() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(connections.mailbox.take(), Some(TO));
    }

    #[test]
    fn parts_and_what_frames_them_are_sent_in_their_order() {
        let (mut connections, mut ledger, mut peer) = one();
        let file = file(b"0123456789");
        let text = |text: &str| Piece::Text(text.as_bytes().to_vec());
        let pieces = vec![text("a:"), Piece::Part(2, 3), text(" b:"), Piece::Part(9, 1), text(".")];
        assert!(flush(&mut connections, &mut ledger, 0, job(&file, pieces), 0).is_none());
        while connections.get(0).unwrap().phase == Phase::Streaming {
            wait_for_mail(&connections);
            go_on(&mut connections, &mut ledger);
        }
        let mut got = [0; 15];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(str::from_utf8(&got), Ok("head;a:234 b:9."));
        assert_eq!(connections.get(0).unwrap().phase, Phase::Reading);
        assert_eq!(ledger.counters.requests.get(), 1);
    }

    #[test]
    fn what_is_not_in_memory_waits_without_the_reactor() {
        let (mut connections, mut ledger, mut peer) = one();
        let file = file(b"0123456789");
        cold::pretend(true);
        let gate = gate::close(&connections.disk);
        let part = vec![Piece::Part(0, 10)];
        assert!(flush(&mut connections, &mut ledger, 0, job(&file, part), 0).is_none());
        for _ in 0..10 {
            let connection = connections.get(0).unwrap();
            assert_eq!(
                (connection.phase, connection.awaiting),
                (Phase::Streaming, Awaiting::Piece)
            );
            assert!(connections.mailbox.is_empty());
            go_on(&mut connections, &mut ledger);
        }
        drop(gate);
        wait_for_mail(&connections);
        go_on(&mut connections, &mut ledger);
        cold::pretend(false);
        let mut got = [0; 15];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(str::from_utf8(&got), Ok("head;0123456789"));
    }

    #[test]
    fn a_file_that_has_become_shorter_ends_the_connection() {
        let (mut connections, mut ledger, mut peer) = one();
        let file = file(b"0123456789");
        let part = vec![Piece::Part(0, 20)];
        assert!(flush(&mut connections, &mut ledger, 0, job(&file, part), 0).is_none());
        while connections.get(0).unwrap().phase == Phase::Streaming {
            wait_for_mail(&connections);
            go_on(&mut connections, &mut ledger);
        }
        let mut got = String::new();
        peer.read_to_string(&mut got).unwrap();
        assert_eq!(got, "head;0123456789");
        assert_eq!(connections.get(0).unwrap().phase, Phase::Lingering);
    }
}
