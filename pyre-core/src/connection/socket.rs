//! WebSocket: frames in become messages, which go to the program whole. What the protocol itself has to
//! say (pongs, pings, the closing handshake) is said here, between frames of the program. Hot path.

use std::sync::Arc;

use pyre_http::websocket::close::Close;
use pyre_http::websocket::frame::{CONTROL_BYTES_MAX, HEAD_BYTES_MAX};
use pyre_http::websocket::receive::{Event, Receiver};
use pyre_http::websocket::send;
use pyre_interp::flow::{Bells, Feed, GONE, Outflow, TOO_SLOW, Upgrade};

use crate::settings::bounds::{CLOSE_ANSWER_MS, CLOSING_MS, GOODBYE_MS};
use crate::shared::frozen::FOR_EVER_MS;

/// Pongs that wait to be written; beyond that nothing is read from a client that does not take them.
const CONTROL_BYTES_WAITING_MAX: usize = 64 * CONTROL_BYTES_MAX;

/// The code of a close frame without one (RFC 6455 section 7.1.5).
const NO_CODE: u16 = 1005;

/// The code that says that the server goes away (section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// What is said to a client that does not read what is published to it.
const TOO_SLOW_REASON: &str = "too slow for its topics";

/// What the deadline of a silent connection asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overdue {
    /// A ping, which is to be written.
    Ping,
    /// Nothing yet.
    Nothing,
    /// The peer has gone, or does not close.
    End,
}

/// Where a connection stands that speaks WebSocket.
pub(crate) struct Socket {
    receiver: Receiver,
    feed: Feed,
    flow: Arc<Outflow>,
    /// Frames of the protocol's own, to be written before those of the program.
    control: Vec<u8>,
    /// The inbox is full: nothing is read until there is room.
    is_blocked: bool,
    /// The peer has closed its side, behind what has been read.
    has_left: bool,
    /// The connection has failed, behind what has been read.
    is_broken: bool,
    /// How long the peer may be silent before it is pinged, in milliseconds.
    ping_ms: u64,
    /// When it was heard last, by the reactor's clock.
    heard_ms: u64,
    /// When it was pinged, if it has not been heard since.
    pinged_ms: Option<u64>,
    /// Our close frame has been written: nothing follows it.
    has_closed: bool,
    /// The peer's has come, or it has broken a rule: nothing of it is read any more.
    is_closed: bool,
    /// When closing has taken long enough.
    closed_until_ms: u64,
    /// How long that may be.
    closing_ms: u64,
    /// When the peer has last taken anything, while it did not take all.
    taken_ms: u64,
    /// When it was first seen that nothing follows what the peer does not take.
    finished_ms: Option<u64>,
    /// The close frame that is sent if the handler does not.
    answer: Close,
    /// The length of the last message that has come.
    last_bytes: usize,
    /// Messages that have come and are not counted, and their bytes.
    messages: u64,
    bytes: u64,
}

impl Socket {
    pub(crate) fn new(
        upgrade: Upgrade,
        flow: Arc<Outflow>,
        message_bytes_max: usize,
        ping_ms: u64,
        now_ms: u64,
    ) -> Self {
        let inflater = upgrade.agreed.map(|agreed| agreed.inflater());
        Self {
            receiver: Receiver::new(message_bytes_max, inflater),
            feed: upgrade.feed,
            flow,
            control: Vec::new(),
            is_blocked: false,
            has_left: false,
            is_broken: false,
            ping_ms,
            heard_ms: now_ms,
            pinged_ms: None,
            has_closed: false,
            is_closed: false,
            closed_until_ms: FOR_EVER_MS,
            closing_ms: CLOSING_MS,
            taken_ms: now_ms,
            finished_ms: None,
            answer: Close::default(),
            last_bytes: 0,
            messages: 0,
            bytes: 0,
        }
    }

    /// Whether anything of the peer is to be read.
    pub(crate) fn wants_reading(&self) -> bool {
        !self.is_blocked && !self.is_closed && self.control.len() < CONTROL_BYTES_WAITING_MAX
    }

    /// How many bytes are likely to come next: what is missing of a message, or one as long as the last.
    pub(crate) fn bytes_likely(&self) -> usize {
        match self.receiver.bytes_missing() {
            0 => self.last_bytes + HEAD_BYTES_MAX,
            missing => missing,
        }
    }

    /// Something has come: the peer is there.
    pub(crate) fn hears(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
        self.pinged_ms = None;
    }

    /// The peer has closed its side, or the connection has failed. What has come before is read first.
    pub(crate) fn sees_end(&mut self, is_broken: bool) {
        self.has_left = true;
        self.is_broken |= is_broken;
    }

    /// Whether the peer has gone, although what it has sent before is not read, as the handler does not take
    /// it. One that has only closed its side may go on reading, and its handler is told.
    pub(crate) fn has_gone_unread(&mut self) -> bool {
        if !self.is_blocked || !self.has_left {
            return false;
        }
        self.feed.leave();
        self.is_broken
    }

    /// Takes what has come, now or before; says how much of it, the rest is to be shown again.
    pub(crate) fn take(&mut self, bytes: &mut [u8], now_ms: u64, bells: &mut Bells) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let (count, event) = match self.receiver.next(&mut bytes[taken..]) {
                Ok(next) => next,
                Err(failure) => {
                    // RFC 6455 section 7.1.7: nothing that follows is looked at.
                    let (code, reason) = (failure.code(), failure.reason());
                    self.ends(Close { code: Some(code), reason: reason.to_owned() }, now_ms);
                    self.feed.fail(code, reason);
                    return bytes.len();
                }
            };
            taken += count;
            match event {
                None => break,
                Some(Event::Message(kind, data)) => {
                    self.messages += 1;
                    self.bytes += data.len() as u64;
                    self.last_bytes = data.len();
                    if !self.feed.push(kind, data, bells) {
                        self.is_blocked = true;
                        break;
                    }
                }
                Some(Event::Ping(data)) => {
                    // Section 5.5.2: unless a close frame was sent.
                    if !self.has_closed {
                        send::pong(&mut self.control, data);
                    }
                }
                Some(Event::Pong(_)) => {}
                Some(Event::Close(close)) => {
                    // Section 5.5.1.
                    self.ends(Close { code: close.code, reason: String::new() }, now_ms);
                    self.feed.close(close.code.unwrap_or(NO_CODE), &close.reason);
                    return bytes.len();
                }
            }
        }
        taken
    }

    /// Nothing is read any more. The close frame that says so may be sent a little later (section
    /// 5.5.1): so the handler has its say on the messages before, and sends it when it comes to the end.
    fn ends(&mut self, answer: Close, now_ms: u64) {
        self.is_closed = true;
        self.receiver.end();
        self.closed_until_ms = now_ms + CLOSE_ANSWER_MS;
        self.answer = answer;
    }

    /// How many messages have come since that was last asked, and how many bytes they have.
    pub(crate) fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.messages), std::mem::take(&mut self.bytes))
    }

    /// Looks again whether there is room for messages, which it may have been told.
    pub(crate) fn look_for_room(&mut self) {
        if self.is_blocked {
            self.is_blocked = !self.feed.ask_for_room();
        }
    }

    /// Whether there is something to write that the program does not know of, or that ends it all.
    pub(crate) fn has_news(&self) -> bool {
        !self.control.is_empty() || self.is_over()
    }

    /// Takes the frames of the protocol's own; `into` is empty. Tells whether there were any.
    pub(crate) fn take_control(&mut self, into: &mut Vec<u8>) -> bool {
        if self.control.is_empty() {
            return false;
        }
        if self.has_closed {
            self.control.clear();
            return false;
        }
        std::mem::swap(&mut self.control, into);
        true
    }

    /// Our close frame is written with what has just been taken from the flow.
    pub(crate) fn has_sent_close(&mut self, now_ms: u64) {
        self.has_closed = true;
        self.has_time_again(now_ms);
    }

    /// The peer has its time to close from now on.
    pub(crate) fn has_time_again(&mut self, now_ms: u64) {
        self.closed_until_ms = now_ms + self.closing_ms;
    }

    /// The peer has taken something of what is being written.
    pub(crate) fn takes(&mut self, now_ms: u64) {
        self.taken_ms = now_ms;
    }

    /// When a peer that takes nothing is given up, which it may do for `span_ms`, and for the time of
    /// closing once nothing follows.
    pub(crate) fn taken_until_ms(&mut self, span_ms: u64, now_ms: u64) -> u64 {
        if self.flow.is_open() {
            return self.taken_ms + span_ms;
        }
        let finished_ms = *self.finished_ms.get_or_insert(now_ms);
        self.taken_ms.max(finished_ms) + self.closing_ms.min(span_ms)
    }

    /// Whether nothing of the program is to be sent any more.
    pub(crate) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Whether nothing of the peer is read any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether both sides have closed it (section 7.1.4).
    pub(crate) fn is_over(&self) -> bool {
        self.has_closed && self.is_closed
    }

    /// The server goes away. The handler learns of the end when the peer has answered.
    pub(crate) fn say_goodbye(&mut self) {
        self.closing_ms = GOODBYE_MS;
        let close = Close { code: Some(GOING_AWAY), reason: String::new() };
        if self.flow.finish(|out| send::close(out, &close)) {
            self.feed.has_said(GOING_AWAY);
        }
    }

    /// The peer does not read what is published to it. What waits for it is thrown away.
    pub(crate) fn give_up_slow(&mut self, now_ms: u64) {
        self.finished_ms = Some(now_ms);
        self.feed.close(TOO_SLOW, TOO_SLOW_REASON);
        let close = Close { code: Some(TOO_SLOW), reason: TOO_SLOW_REASON.to_owned() };
        self.flow.cut_short(|out| send::close(out, &close));
    }

    /// When it is looked at, if nothing happens.
    pub(crate) fn deadline_ms(&self) -> u64 {
        if self.has_closed || self.is_closed {
            return self.closed_until_ms;
        }
        let since_ms = self.pinged_ms.unwrap_or(self.heard_ms);
        since_ms.saturating_add(self.ping_ms).min(FOR_EVER_MS)
    }

    /// Its deadline has passed: what is to be done.
    pub(crate) fn overdue(&mut self, now_ms: u64) -> Overdue {
        if now_ms < self.deadline_ms() {
            return Overdue::Nothing;
        }
        if self.has_closed {
            return Overdue::End;
        }
        if self.is_closed {
            // The handler does not come to the end.
            self.closed_until_ms = now_ms + self.closing_ms;
            return match self.flow.finish(|out| send::close(out, &self.answer)) {
                true => Overdue::Nothing,
                false => Overdue::End,
            };
        }
        if self.is_blocked {
            // Whatever it has said waits to be read, and its pong would lie behind that. If it is not there any
            // more, its system says so to the ping: the end of the connection may lie behind that as well.
            self.hears(now_ms);
            send::ping(&mut self.control, b"");
            return Overdue::Ping;
        }
        if self.pinged_ms.is_some() {
            self.feed.close(GONE, "no answer to a ping");
            return Overdue::End;
        }
        self.pinged_ms = Some(now_ms);
        send::ping(&mut self.control, b"");
        Overdue::Ping
    }
}
