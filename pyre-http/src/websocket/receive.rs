//! Frames in: what a client has sent, checked as it comes (RFC 6455 sections 5 to 8). Hot path.

use std::mem;

use super::close::{Close, Failure};
use super::deflate::Inflater;
use super::frame::{CONTROL_BYTES_MAX, Head, Opcode};
use super::mask;
use super::utf8::Utf8;

/// A message's memory is given back when it is larger than this.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What a message holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What has come whole.
#[derive(PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A message; a text is UTF-8.
    Message(Kind, &'a [u8]),
    /// To be answered by a pong with the same bytes, unless a close frame was sent (section 5.5.2).
    Ping(&'a [u8]),
    /// The answer to a ping, or unasked.
    Pong(&'a [u8]),
    /// The last that comes.
    Close(Close),
}

/// The frame whose payload is coming.
#[derive(Clone, Copy)]
struct Payload {
    head: Head,
    /// Bytes of it that have come.
    come: u64,
}

/// The message whose frames are coming.
#[derive(Clone, Copy)]
struct Message {
    kind: Kind,
    is_compressed: bool,
    /// Bytes of its frames so far, as they were sent.
    sent_bytes: usize,
}

/// Reads what one client sends.
pub struct Receiver {
    message_bytes_max: usize,
    inflater: Option<Inflater>,
    payload: Option<Payload>,
    message: Option<Message>,
    /// What has come of the message, inflated.
    data: Vec<u8>,
    text: Utf8,
    control: Vec<u8>,
    /// `data` has been given out.
    is_given: bool,
    is_over: bool,
}

impl Receiver {
    /// Reads messages of so many bytes at most, compressed ones only with an inflater.
    #[must_use]
    pub fn new(message_bytes_max: usize, inflater: Option<Inflater>) -> Self {
        Self {
            message_bytes_max,
            inflater,
            payload: None,
            message: None,
            data: Vec::new(),
            text: Utf8::default(),
            control: Vec::new(),
            is_given: false,
            is_over: false,
        }
    }

    /// Takes bytes until something is whole; says how many, and what. What is not taken is to be shown
    /// again, with more behind it, but for `None` that is less than the head of a frame. The bytes are
    /// unmasked where they are.
    ///
    /// # Errors
    /// What the peer has done wrong, as early as its bytes show it. Nothing more is to be read then.
    pub fn next<'a>(
        &'a mut self,
        bytes: &'a mut [u8],
    ) -> Result<(usize, Option<Event<'a>>), Failure> {
        if mem::take(&mut self.is_given) {
            self.data.clear();
            self.data.shrink_to(KEPT_BYTES_MAX);
        }
        let mut taken = 0;
        loop {
            if self.is_over {
                // Section 5.5.1: whatever comes behind a close frame is not looked at.
                return Ok((bytes.len(), None));
            }
            let mut payload = match self.payload {
                Some(payload) => payload,
                None => {
                    let may_compress = self.inflater.is_some();
                    let Some((head, head_bytes)) = Head::read(&bytes[taken..], may_compress)?
                    else {
                        return Ok((taken, None));
                    };
                    taken += head_bytes;
                    self.begin(&head)?;
                    Payload { head, come: 0 }
                }
            };
            let here = bytes.len() - taken;
            let left = payload.head.length - payload.come;
            let count = usize::try_from(left).map_or(here, |left| left.min(here));
            let is_whole = count as u64 == left;
            let piece = taken..taken + count;
            mask::apply(&mut bytes[piece.clone()], payload.head.key, payload.come as usize);
            taken += count;
            if is_whole && payload.come == 0 && self.is_alone(&payload.head) {
                self.payload = None;
                let Some(message) = self.message.take() else { unreachable!("begun by its head") };
                let data = &bytes[piece];
                if message.kind == Kind::Text && std::str::from_utf8(data).is_err() {
                    return Err(Failure::NotUtf8);
                }
                return Ok((taken, Some(Event::Message(message.kind, data))));
            }
            payload.come += count as u64;
            self.payload = if is_whole { None } else { Some(payload) };
            self.take(&payload.head, &bytes[piece], is_whole)?;
            if !is_whole {
                return Ok((taken, None));
            }
            if self.ends(&payload.head)? {
                return self.give(&payload.head).map(|event| (taken, Some(event)));
            }
        }
    }

    /// Nothing is read any more: what has come of a message is of no use.
    pub fn end(&mut self) {
        self.is_over = true;
        self.inflater = None;
        self.data = Vec::new();
        self.payload = None;
    }

    /// How many bytes are kept of a message that is coming.
    #[cfg(test)]
    pub(super) fn bytes_kept(&self) -> usize {
        self.data.capacity()
    }

    /// How many bytes of the frame that is coming are known to be missing.
    #[must_use]
    pub fn bytes_missing(&self) -> usize {
        let left = self.payload.map_or(0, |payload| payload.head.length - payload.come);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Whether the peer has sent its close frame.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the frame is a message by itself, which need not be copied.
    fn is_alone(&self, head: &Head) -> bool {
        head.is_final && !head.is_compressed && matches!(head.opcode, Opcode::Text | Opcode::Binary)
    }

    /// A frame begins: looks whether it may, and how long its message gets.
    fn begin(&mut self, head: &Head) -> Result<(), Failure> {
        let kind = match head.opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            Opcode::Continuation => {
                // Section 5.4.
                let message = self.message.as_mut().ok_or(Failure::ContinuationOfNothing)?;
                return grow(message, head.length, self.message_bytes_max);
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => {
                self.control.clear();
                return Ok(());
            }
        };
        if self.message.is_some() {
            return Err(Failure::MessageInMessage);
        }
        let mut message = Message { kind, is_compressed: head.is_compressed, sent_bytes: 0 };
        grow(&mut message, head.length, self.message_bytes_max)?;
        self.message = Some(message);
        Ok(())
    }

    /// Takes a piece of a payload.
    fn take(&mut self, head: &Head, piece: &[u8], is_whole: bool) -> Result<(), Failure> {
        if head.opcode.is_control() {
            debug_assert!(self.control.len() + piece.len() <= CONTROL_BYTES_MAX, "by its head");
            self.control.extend_from_slice(piece);
            return Ok(());
        }
        let Some(message) = self.message else { unreachable!("begun by its head") };
        let before = self.data.len();
        match &mut self.inflater {
            Some(inflater) if message.is_compressed => {
                let is_end = is_whole && head.is_final;
                inflater.inflate(piece, is_end, &mut self.data, self.message_bytes_max)?;
            }
            _ => self.data.extend_from_slice(piece),
        }
        if message.kind == Kind::Text && !self.text.takes(&self.data[before..]) {
            return Err(Failure::NotUtf8);
        }
        Ok(())
    }

    /// Whether the frame that is whole is the end of something.
    fn ends(&mut self, head: &Head) -> Result<bool, Failure> {
        if head.is_final && !head.opcode.is_control() && !self.text.ends() {
            return Err(Failure::NotUtf8);
        }
        Ok(head.is_final)
    }

    /// What the frame has completed.
    fn give(&mut self, head: &Head) -> Result<Event<'_>, Failure> {
        Ok(match head.opcode {
            Opcode::Ping => Event::Ping(&self.control),
            Opcode::Pong => Event::Pong(&self.control),
            Opcode::Close => {
                let close = Close::read(&self.control)?;
                self.is_over = true;
                Event::Close(close)
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let Some(message) = self.message.take() else { unreachable!("begun by its head") };
                self.is_given = true;
                Event::Message(message.kind, &self.data)
            }
        })
    }
}

/// Counts the bytes of a frame.
fn grow(message: &mut Message, length: u64, message_bytes_max: usize) -> Result<(), Failure> {
    let length = usize::try_from(length).map_err(|_| Failure::TooLong)?;
    message.sent_bytes = message.sent_bytes.saturating_add(length);
    // What cannot be compressed gets longer by it. The message itself is counted as it is inflated.
    let more = if message.is_compressed { message_bytes_max / 16 + 64 } else { 0 };
    if message.sent_bytes > message_bytes_max.saturating_add(more) {
        return Err(Failure::TooLong);
    }
    Ok(())
}
