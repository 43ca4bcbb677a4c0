//! All connections of a reactor, and what goes with each whatever it is doing: an alarm, empty jobs, a
//! place on the list of those to read from. Hot path.

use std::sync::Arc;

use mio::Token;
use pyre_interp::flow::{Bells, Cut, Mailbox, Spare};
use pyre_interp::job::Job;

use crate::connection::jobs::Jobs;
use crate::connection::slots::Slots;
use crate::connection::state::{Awaiting, Connection, Outbound, Phase};
use crate::connection::timers::Timers;
use crate::connection::waits::Spans;
use crate::direct::files::pool::Pool;
use crate::settings::bounds::{LINGER_IDLE_MS, LINGER_MS_MAX, UPLOAD_READ_BYTES};
use crate::shared::control::{Holding, Left, Stage};
use crate::sys::Clock;

/// Token of the doorbell; connections have their slot, listeners count down from here.
pub(crate) const DOORBELL: Token = Token(usize::MAX);

/// Resolution of deadlines.
const TIMER_MS: u64 = 100;

/// The connections of one reactor.
pub(crate) struct Connections {
    slots: Slots,
    pub(super) timers: Timers,
    pub(super) spans: Spans,
    /// Alarms that went off in this turn; kept between turns for its memory.
    pub(super) due: Vec<(u32, u32)>,
    pub(crate) jobs: Jobs,
    pub(crate) clock: Clock,
    /// The stage that has been acted upon.
    pub(crate) stage: Stage,
    /// Those to read from in the next turn; each stands here at most once.
    ready: Vec<u32>,
    /// Those to read from in this turn, and how many of them have been read.
    reading: Vec<u32>,
    read: usize,
    /// Which answers in pieces have more of them, and where there is room for more of a body.
    pub(crate) mailbox: Arc<Mailbox>,
    /// Who waits for disks in the place of the reactor.
    pub(crate) disk: Arc<Pool>,
    /// Event loops that were left messages in this turn.
    pub(crate) bells: Bells,
    /// What is read of bodies that are on their way to a handler; kept for its memory.
    scratch: Vec<u8>,
    /// What is kept for pieces that are to come.
    pub(crate) spare: Spare,
}

impl Connections {
    pub(crate) fn new(spans: Spans, mailbox: Arc<Mailbox>) -> Self {
        Self {
            slots: Slots::default(),
            timers: Timers::new(TIMER_MS),
            spans,
            due: Vec::new(),
            jobs: Jobs::default(),
            clock: Clock::new(),
            stage: Stage::Serving,
            ready: Vec::new(),
            reading: Vec::new(),
            read: 0,
            mailbox,
            disk: Arc::default(),
            bells: Bells::default(),
            scratch: Vec::new(),
            spare: Spare::default(),
        }
    }

    /// Whether new requests are the last of their connections.
    pub(crate) fn is_draining(&self) -> bool {
        self.stage != Stage::Serving
    }

    /// Whether connections end that have no request.
    pub(crate) fn is_ending(&self) -> bool {
        self.stage >= Stage::Draining
    }

    /// Puts a connection into a free slot.
    pub(crate) fn insert(&mut self, connection: Connection) -> u32 {
        self.slots.insert(connection).0
    }

    /// The connection in a slot, if there is one.
    #[inline]
    pub(crate) fn get(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get(slot)
    }

    /// As `get`, with the empty jobs beside it.
    #[inline]
    pub(crate) fn get_with_jobs(&mut self, slot: u32) -> Option<(&mut Connection, &mut Jobs)> {
        Some((self.slots.get(slot)?, &mut self.jobs))
    }

    /// As `get_with_jobs`, with the bells of those who wait for what comes.
    pub(crate) fn get_with_bells(
        &mut self,
        slot: u32,
    ) -> Option<(&mut Connection, &mut Jobs, &mut Bells)> {
        Some((self.slots.get(slot)?, &mut self.jobs, &mut self.bells))
    }

    /// As `get_with_jobs`, with an empty buffer to read a body into.
    pub(crate) fn get_with_room(
        &mut self,
        slot: u32,
    ) -> Option<(&mut Connection, &mut Jobs, &mut Vec<u8>)> {
        self.scratch.clear();
        self.scratch.reserve_exact(UPLOAD_READ_BYTES);
        Some((self.slots.get(slot)?, &mut self.jobs, &mut self.scratch))
    }

    /// The connection in a slot, if it is still the one of that generation.
    #[inline]
    pub(crate) fn get_exactly(&mut self, slot: u32, generation: u32) -> Option<&mut Connection> {
        self.slots.get_exactly(slot, generation)
    }

    /// The generation that a slot is in.
    #[inline]
    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.slots.generation(slot)
    }

    /// Lets a connection go on with the next generation: a reply for the one before is a stranger's.
    pub(crate) fn renew(&mut self, slot: u32) {
        self.slots.renew(slot);
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.slots.open()
    }

    /// What is left to drain.
    pub(crate) fn left(&self) -> Left {
        if self.open() == 0 {
            Left::Nothing
        } else if self.slots.iter().all(Connection::only_delivers) {
            Left::LastAnswers
        } else {
            Left::Requests
        }
    }

    /// Connections that keep the server from ending, although no lane has anything of them.
    pub(crate) fn holding(&self) -> Holding {
        let mut holding = Holding::default();
        for connection in self.slots.iter() {
            match connection.phase {
                Phase::Reading => holding.unsent += 1,
                Phase::Writing if connection.has_stream() => {}
                Phase::Writing if !connection.only_delivers() => holding.untaken += 1,
                Phase::Writing | Phase::Answering | Phase::Streaming | Phase::Lingering => {}
            }
        }
        holding
    }

    /// Notes of every connection how much has been received: the server begins to leave.
    pub(crate) fn note_what_is_owed(&mut self) {
        self.slots.note_what_is_owed();
    }

    /// Tells the peers of all WebSockets that the server goes away, and ends streams that nobody of the
    /// program has any more.
    pub(crate) fn say_goodbye(&mut self) {
        for slot in self.slots.slots() {
            let Some(connection) = self.slots.get(slot) else { continue };
            if let Some(socket) = connection.protocol.socket() {
                socket.say_goodbye();
            } else if let Some(Outbound { job, .. }) = &connection.outbound
                && let Some(flow) = &job.flow
            {
                flow.flow().end_if_let_go();
            }
        }
    }

    /// Puts a connection on the list of those to read from, if it may be read from.
    #[inline(always)]
    pub(crate) fn list(&mut self, slot: u32) {
        if let Some(connection) = self.slots.get(slot)
            && !connection.listed
            && connection.wants_reading()
        {
            connection.listed = true;
            self.ready.push(slot);
        }
    }

    /// Whether any is to be read from in the next turn.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What is on the list is read in the turn that begins; what comes on it meanwhile waits for the
    /// next one.
    pub(crate) fn begin_reading(&mut self) {
        std::mem::swap(&mut self.reading, &mut self.ready);
    }

    /// The next connection to read from in this turn.
    #[inline]
    pub(crate) fn next_to_read(&mut self) -> Option<u32> {
        while let Some(&slot) = self.reading.get(self.read) {
            self.read += 1;
            if let Some(connection) = self.slots.get(slot) {
                connection.listed = false;
                return Some(slot);
            }
        }
        None
    }

    /// Everything was read that is to be read in this turn.
    pub(crate) fn end_reading(&mut self) {
        self.reading.clear();
        self.read = 0;
    }

    /// Looks for a request that came before the end; without one the connection ends.
    pub(crate) fn read_last(&mut self, slot: u32) {
        if let Some(connection) = self.slots.get(slot) {
            connection.readable = true;
            self.list(slot);
        }
    }

    /// As `read_last`, of every connection. Those that only deliver have no longer for it than those
    /// that begin to do so now.
    pub(crate) fn read_last_of_all(&mut self) {
        let until_ms = self.clock.now_ms() + LINGER_IDLE_MS;
        for slot in self.slots.slots() {
            if let Some(connection) = self.slots.get(slot) {
                match connection.phase {
                    Phase::Lingering => {
                        connection.linger_until_ms = connection.linger_until_ms.min(until_ms);
                    }
                    // One that goes on has its time as before.
                    Phase::Writing if !connection.has_stream() => {
                        let deadline_ms = connection.deadline_ms.min(until_ms);
                        self.set_deadline(slot, deadline_ms);
                    }
                    Phase::Reading | Phase::Answering | Phase::Writing | Phase::Streaming => {}
                }
            }
            self.read_last(slot);
        }
    }

    /// The answers that wait for the socket, which may take more now.
    pub(crate) fn take_outbound(&mut self, slot: u32) -> Option<Outbound> {
        self.slots.get(slot)?.outbound.take()
    }

    /// How many answers in pieces have not ended.
    pub(crate) fn streams(&self) -> usize {
        self.slots.iter().filter(|connection| connection.has_stream()).count()
    }

    /// Ends our side after the last answer and lets the peer read it.
    ///
    /// RFC 9112 section 9.6: closing at once, while the peer still sends, makes its system drop
    /// the answer that it has not read yet.
    pub(crate) fn linger(&mut self, slot: u32) {
        let now_ms = self.clock.now_ms();
        let span_ms = if self.is_ending() { LINGER_IDLE_MS } else { LINGER_MS_MAX };
        let Some(connection) = self.slots.get(slot) else { return };
        if let Some(upload) = connection.upload.take() {
            upload.flow.cut(Cut::Answered);
        }
        if connection.resets {
            connection.transport.reset_on_close();
            return self.close(slot);
        }
        if connection.read_closed || connection.transport.finish_sending().is_err() {
            return self.close(slot);
        }
        connection.phase = Phase::Lingering;
        connection.linger_until_ms = now_ms + span_ms;
        connection.readable = true;
        if let Some(job) = connection.inbound.take() {
            self.jobs.give_back(job);
        }
        self.await_next(slot, Awaiting::End);
        self.list(slot);
    }

    /// Ends a connection that has no request. Its last answer may still be on its way to a peer that
    /// reads slowly: what that one asks for just now must not cost it the rest.
    #[cold]
    pub(crate) fn end_idle(&mut self, slot: u32) {
        let Some(connection) = self.slots.get(slot) else { return };
        if connection.transport.sent_bytes() == 0 {
            self.close(slot);
        } else {
            self.linger(slot);
        }
    }

    /// Closes a connection and frees its slot.
    pub(crate) fn close(&mut self, slot: u32) {
        if let Some(mut connection) = self.slots.remove(slot) {
            self.timers.disarm(slot);
            if let Some(job) = connection.inbound.take() {
                self.jobs.give_back(job);
            }
            if let Some(outbound) = connection.outbound.take() {
                self.jobs.give_back(outbound.job);
            }
        }
    }

    /// Leaves what lies behind the last whole request with the connection.
    pub(crate) fn keep_rest(&mut self, slot: u32, job: &mut Job) {
        let Some(connection) = self.slots.get(slot) else { return };
        let Some(requests) = connection.protocol.requests() else { return };
        let position = requests.position();
        requests.rebase();
        if position < job.bytes.len() && !connection.last {
            let mut rest = self.jobs.take();
            rest.bytes.extend_from_slice(&job.bytes[position..]);
            connection.inbound = Some(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use pyre_interp::job::{Client, Job};

    use super::*;
    use crate::connection::transport::Transport;

    const SPANS: Spans = Spans { request_ms: 2_000, body_ms: 3_000, ..Spans::all(1_000) };

    fn mailbox() -> Arc<Mailbox> {
        Arc::new(Mailbox::new(Arc::new(pyre_interp::ring::Doorbell::new(|| {}))))
    }

    /// Two connections in slots 0 and 1, with something to read, and the other ends of their sockets.
    fn two() -> (Connections, [UnixStream; 2]) {
        let mut connections = Connections::new(SPANS, mailbox());
        let ends = [0, 1].map(|slot| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let transport = Transport::Unix(mio::net::UnixStream::from_std(ours));
            assert_eq!(connections.insert(Connection::new(transport, Client::Local)), slot);
            connections.get(slot).unwrap().readable = true;
            theirs
        });
        (connections, ends)
    }

    #[test]
    fn a_peer_that_has_but_to_take_its_answer_has_no_request() {
        let (mut connections, _ends) = two();
        connections.close(1);
        let mut left = |phase, last, closes, owed_bytes| {
            let connection = connections.get(0).unwrap();
            let mut job = Job::new();
            job.closes = closes;
            connection.outbound = (phase == Phase::Writing).then_some(Outbound { job, written: 0 });
            (connection.phase, connection.last) = (phase, last);
            connection.owed_bytes = owed_bytes;
            connections.left()
        };
        assert_eq!(left(Phase::Writing, false, false, 0), Left::LastAnswers);
        // What has been received behind it is answered, or is not as it is the last.
        assert_eq!(left(Phase::Writing, false, false, 9), Left::Requests);
        assert_eq!(left(Phase::Writing, false, true, 9), Left::LastAnswers);
        assert_eq!(left(Phase::Writing, true, false, 9), Left::LastAnswers);
        assert_eq!(left(Phase::Lingering, false, false, 9), Left::LastAnswers);
        assert_eq!(left(Phase::Reading, false, false, 0), Left::Requests);
        assert_eq!(left(Phase::Answering, true, true, 0), Left::Requests);
        connections.close(0);
        assert_eq!(connections.left(), Left::Nothing);
    }

    #[test]
    fn each_is_read_once_a_turn() {
        let (mut connections, _ends) = two();
        for slot in [1, 0, 1] {
            connections.list(slot);
        }
        connections.begin_reading();
        assert_eq!(connections.next_to_read(), Some(1));
        // It has more, which waits for the next turn.
        connections.list(1);
        assert_eq!(connections.next_to_read(), Some(0));
        assert_eq!(connections.next_to_read(), None);
        connections.end_reading();
        assert!(connections.has_ready());
        // Meanwhile it went.
        connections.close(1);
        connections.begin_reading();
        assert_eq!(connections.next_to_read(), None);
    }

    #[test]
    fn one_that_has_a_request_out_is_not_read() {
        let (mut connections, _ends) = two();
        connections.get(0).unwrap().begin_answering(1_000);
        connections.list(0);
        assert!(!connections.has_ready());
    }

    #[test]
    fn a_head_has_its_time_from_its_first_byte() {
        let (mut connections, _ends) = two();
        connections.await_next(0, Awaiting::Head);
        let first_ms = connections.get(0).unwrap().deadline_ms;
        let now_ms = connections.clock.now_ms();
        while connections.clock.now_ms() == now_ms {
            connections.clock.tick();
        }
        connections.await_next(0, Awaiting::Head);
        assert_eq!(connections.get(0).unwrap().deadline_ms, first_ms);
        connections.await_next(0, Awaiting::Body);
        let body_ms = connections.get(0).unwrap().deadline_ms;
        assert!(body_ms > first_ms + SPANS.body_ms - SPANS.head_ms);
    }

    #[test]
    fn a_late_reply_never_meets_a_stranger() {
        let (mut connections, _ends) = two();
        let generation = connections.generation(0);
        assert!(connections.get_exactly(0, generation).is_some());
        connections.renew(0);
        assert!(connections.get_exactly(0, generation).is_none());
        assert!(connections.get(0).is_some());
    }
}
