//! Step 12 for large files: from the file to the socket, a part at a time, as fast as the client takes it.
//! What is not in memory is read by a thread of the disk pool first.

mod prepare; // the part that comes next

use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyre_http::files::answer::Piece;
use pyre_interp::flow::Transfer;
use pyre_interp::job::Job;

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::connection::table::Connections;
use crate::log::writer;
use crate::metrics::ledger::Ledger;
use crate::outbound::file::prepare::{Prepared, prepare};
use crate::outbound::stream::{Refill, end};
use crate::settings::bounds::{FILE_SEND_BYTES, FILE_SENDS_PER_TURN_MAX};

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
                if let Some(connection) = connections.get(slot) {
                    connection.undelivered_bytes = usize::MAX;
                }
                end(ledger, &mut job);
                return Refill::Pieces(job);
            }
        };
        match prepare(connections, transfer, to, at, bytes) {
            Prepared::Sendable => {}
            Prepared::Later => {
                wait(connections, slot, job);
                return Refill::Nothing;
            }
            Prepared::Read(bytes) if bytes.is_empty() => return break_off(ledger, job),
            Prepared::Read(bytes) => {
                flow.known.bytes += bytes.len() as u64;
                transfer.has_sent(bytes.len() as u64);
                job.reply = bytes;
                return Refill::Pieces(job);
            }
            Prepared::Broken(error) => {
                say_why(&error);
                return break_off(ledger, job);
            }
        }
        let Some(connection) = connections.get(slot) else { return Refill::Pieces(job) };
        match connection.transport.send_file(&transfer.file, at, bytes as usize) {
            Ok(0) => return break_off(ledger, job),
            Ok(sent) => {
                flow.known.bytes += sent as u64;
                transfer.has_sent(sent as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // What the peer takes of that shows whether it goes on.
                connection.undelivered_bytes = connection.transport.sent_bytes();
                connection.phase = Phase::Writing;
                connection.outbound = Some(Outbound { job, written: 0 });
                connections.await_next(slot, Awaiting::Writable);
                return Refill::Nothing;
            }
            // Not every file can be sent like that, nor to every socket, nor in every container. Whether
            // this one can be read is known then.
            Err(error) if is_not_supported(&error) => transfer.is_copied = true,
            Err(error) => {
                if !is_about_the_peer(&error) {
                    say_why(&error);
                }
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

/// The file has become shorter, or cannot be read: the length that was promised cannot be kept, which the
/// peer sees from the end of the connection (RFC 9112 section 8).
fn break_off(ledger: &mut Ledger, mut job: Box<Job>) -> Refill {
    end(ledger, &mut job);
    job.give_up_rest();
    Refill::Pieces(job)
}

fn is_not_supported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM | libc::ESPIPE)
    )
}

fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
    )
}

/// When it was last said that a file cannot be sent; a broken disk breaks many.
static SAID: Mutex<Option<Instant>> = Mutex::new(None);

/// How long nothing is said of further files.
const WARNING: Duration = Duration::from_secs(10);

/// Says why an answer has broken off, not too often.
fn say_why(error: &io::Error) {
    let now = Instant::now();
    let mut said = SAID.lock();
    if said.is_some_and(|at| now.duration_since(at) < WARNING) {
        return;
    }
    *said = Some(now);
    drop(said);
    let text = format!("a file cannot be sent to its end: {error}; the connection ends instead");
    writer::say("WARNING", "pyre: ", &text);
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

/// The connection waits for a disk, or for its next turn.
fn wait(connections: &mut Connections, slot: u32, mut job: Box<Job>) {
    job.slim();
    connections.wait_for_disk(slot, job);
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use pyre_interp::flow::{Downstream, OpenFile};
    use pyre_interp::job::{ConnectionId, Entry};

    use super::*;
    use crate::connection::transport::Transport;
    use crate::direct::files::pool::gate;
    use crate::outbound::flush::flush;
    use crate::outbound::flush::tests::one;
    use crate::settings::bounds::DISK_QUEUE_MAX;
    use crate::sys::{cold, refuse_files};

    const TO: ConnectionId = ConnectionId { reactor: 0, slot: 0, generation: 0 };

    /// An open file without a name, with these bytes.
    fn file(bytes: &[u8]) -> Arc<OpenFile> {
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
        Arc::new(OpenFile::new(file, true))
    }

    /// A job that answers with these pieces of a file.
    fn job(file: &Arc<OpenFile>, pieces: Vec<Piece>) -> Box<Job> {
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

    /// Sees that the peer has got this, and nothing more.
    fn expect(peer: &mut UnixStream, expected: &str) {
        let mut got = vec![0; expected.len()];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(str::from_utf8(&got), Ok(expected));
        peer.set_nonblocking(true).unwrap();
        let more = peer.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(more, Err(io::ErrorKind::WouldBlock));
        peer.set_nonblocking(false).unwrap();
    }

    #[test]
    fn what_lies_before_a_part_that_was_read_is_not_in_memory_by_that() {
        let (mut connections, mut ledger, mut peer) = one();
        let file = file(b"0123456789");
        cold::pretend(true);
        let parts = vec![Piece::Part(9, 1), Piece::Part(0, 5)];
        assert!(flush(&mut connections, &mut ledger, 0, job(&file, parts), 0).is_none());
        expect(&mut peer, "head;");
        wait_for_mail(&connections);
        go_on(&mut connections, &mut ledger);
        expect(&mut peer, "9");
        wait_for_mail(&connections);
        go_on(&mut connections, &mut ledger);
        cold::pretend(false);
        expect(&mut peer, "01234");
    }

    #[test]
    fn where_too_much_waits_for_a_disk_the_reactor_does_not_wait_for_it() {
        let (mut connections, mut ledger, mut peer) = one();
        let file = file(b"0123456789");
        cold::pretend(true);
        let gate = gate::close(&connections.disk);
        for _ in 0..DISK_QUEUE_MAX {
            connections.disk.run(|| {}).unwrap();
        }
        let part = vec![Piece::Part(0, 10)];
        assert!(flush(&mut connections, &mut ledger, 0, job(&file, part), 0).is_none());
        for _ in 0..10 {
            assert!(connections.mailbox.is_empty());
            go_on(&mut connections, &mut ledger);
        }
        expect(&mut peer, "head;");
        drop(gate);
        for _ in ["there is room", "it is read"] {
            wait_for_mail(&connections);
            go_on(&mut connections, &mut ledger);
        }
        cold::pretend(false);
        expect(&mut peer, "0123456789");
    }

    #[test]
    fn where_a_file_cannot_be_sent_from_it_is_read() {
        let (mut connections, mut ledger, mut peer) = one();
        let Transport::Unix(socket) = &connections.get(0).unwrap().transport else {
            unreachable!("it is one")
        };
        refuse_files(socket);
        let file = file(b"0123456789");
        let text = |text: &str| Piece::Text(text.as_bytes().to_vec());
        let pieces = vec![text("a:"), Piece::Part(2, 3), text(" b:"), Piece::Part(9, 1), text(".")];
        assert!(flush(&mut connections, &mut ledger, 0, job(&file, pieces), 0).is_none());
        while connections.get(0).unwrap().phase == Phase::Streaming {
            wait_for_mail(&connections);
            go_on(&mut connections, &mut ledger);
        }
        expect(&mut peer, "head;a:234 b:9.");
        assert_eq!(connections.get(0).unwrap().phase, Phase::Reading);
        assert_eq!(ledger.counters.requests.get(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_ends_the_connection() {
        let (mut connections, mut ledger, mut peer) = one();
        let folder = File::open(std::env::temp_dir()).unwrap();
        let folder = Arc::new(OpenFile::new(folder, true));
        let part = vec![Piece::Part(0, 20)];
        assert!(flush(&mut connections, &mut ledger, 0, job(&folder, part), 0).is_none());
        while connections.get(0).unwrap().phase == Phase::Streaming {
            wait_for_mail(&connections);
            go_on(&mut connections, &mut ledger);
        }
        let mut got = String::new();
        peer.read_to_string(&mut got).unwrap();
        assert_eq!(got, "head;");
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
