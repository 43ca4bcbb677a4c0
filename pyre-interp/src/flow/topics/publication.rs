//! What is published, encoded for those who hear it: once for each form.

use std::sync::{Arc, OnceLock};

use pyre_http::event_stream::{Event, FieldInvalid};
use pyre_http::h1::chunk;
use pyre_http::websocket::deflate::Deflater;
use pyre_http::websocket::receive::Kind;
use pyre_http::websocket::send;

use super::desk::{Charge, Desk, State};

/// Shorter messages are sent as they are, also where they could be compressed.
const COMPRESSED_BYTES_MIN: usize = 256;

/// What a chunk ends with.
const LINE_END: &[u8] = b"\r\n";

/// How a subscriber hears what is published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// As a frame of a WebSocket.
    Frame,
    /// As one that may be compressed, with a window of so many bits that refers to nothing before.
    Deflated(u8),
    /// As a server-sent event.
    Event,
    /// As one that is a chunk.
    Chunk,
}

impl Form {
    /// Whether it is one for event streams.
    #[must_use]
    pub fn is_event(self) -> bool {
        matches!(self, Self::Event | Self::Chunk)
    }
}

/// A message before it is published.
pub struct Message {
    topic: Arc<str>,
    kind: Kind,
    data: Vec<u8>,
    /// What stands before the data of the event, as it is written.
    event: Option<String>,
    id: Option<String>,
    is_text: bool,
}

impl Message {
    /// A message for a topic. What is a text has to be UTF-8.
    ///
    /// # Errors
    /// The type or the id of its event cannot be written.
    pub fn new(
        topic: &str,
        kind: Kind,
        data: Vec<u8>,
        event: Option<String>,
        id: Option<String>,
    ) -> Result<Self, FieldInvalid> {
        let named = Event { data: "", kind: event.as_deref(), id: id.as_deref(), retry_ms: None };
        named.write(&mut Vec::new())?;
        let is_text = kind == Kind::Text || std::str::from_utf8(&data).is_ok();
        Ok(Self { topic: topic.into(), kind, data, event, id, is_text })
    }

    /// Whether event streams can hear it.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.is_text
    }

    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// How long its data are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// A message that is on its way to its subscribers.
pub struct Publication {
    topic: Arc<str>,
    /// A whole frame, and where the data begin in it.
    frame: Box<[u8]>,
    data_start: usize,
    /// The frame, compressed, by the bits of the window.
    deflated: Vec<(u8, Box<[u8]>)>,
    kind: Option<String>,
    id: Option<String>,
    is_text: bool,
    /// A chunk with the event in it, and where that begins. Made when the first event stream is to
    /// hear it.
    chunk: OnceLock<(Box<[u8]>, usize)>,
    charge: Option<Charge>,
}

impl Publication {
    /// Encodes a message, and compresses it with windows of these sizes if it is long enough.
    pub(super) fn new(message: Message, windows: &[u8]) -> Self {
        let Message { topic, kind, data, event, id, is_text } = message;
        let mut frame = Vec::with_capacity(data.len() + 10);
        send::message(&mut frame, kind, &data);
        let data_start = frame.len() - data.len();
        let mut deflated = Vec::new();
        if data.len() >= COMPRESSED_BYTES_MIN {
            for &bits in windows {
                let (mut out, mut scratch) = (Vec::new(), Vec::new());
                let mut deflater = Deflater::new(false, bits);
                send::compressed(&mut out, kind, &data, &mut deflater, &mut scratch);
                if out.len() < frame.len() {
                    deflated.push((bits, out.into_boxed_slice()));
                }
            }
        }
        Self {
            topic,
            frame: frame.into_boxed_slice(),
            data_start,
            deflated,
            kind: event,
            id,
            is_text,
            chunk: OnceLock::new(),
            charge: None,
        }
    }

    /// With its place in the order, and what it takes of the room.
    pub(super) fn charged(mut self, desk: &Arc<Desk>, state: &mut State) -> Self {
        let deflated: usize = self.deflated.iter().map(|(_, bytes)| bytes.len()).sum();
        self.charge = Some(Charge::new(desk, state, self.frame.len() + deflated));
        self
    }

    /// Its place in the order of all that is published and subscribed to.
    #[must_use]
    pub fn order(&self) -> u64 {
        self.charge.as_ref().map_or(0, |charge| charge.order)
    }

    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    fn data(&self) -> &[u8] {
        &self.frame[self.data_start..]
    }

    /// It as it stands on the wire. None if it cannot be said so: what is no text is no event.
    #[must_use]
    pub fn form(&self, form: Form) -> Option<&[u8]> {
        match form {
            Form::Frame => Some(&self.frame),
            Form::Deflated(bits) => {
                let found = self.deflated.iter().find(|(known, _)| *known == bits);
                Some(found.map_or(&self.frame, |(_, bytes)| bytes))
            }
            Form::Event => self.event(),
            Form::Chunk => self.chunk().map(|(chunk, _)| &**chunk),
        }
    }

    /// It as an event.
    #[must_use]
    pub fn event(&self) -> Option<&[u8]> {
        self.chunk().map(|(chunk, start)| &chunk[*start..chunk.len() - LINE_END.len()])
    }

    fn chunk(&self) -> Option<&(Box<[u8]>, usize)> {
        if !self.is_text {
            return None;
        }
        Some(self.chunk.get_or_init(|| {
            let data = std::str::from_utf8(self.data()).unwrap_or_default();
            let (kind, id) = (self.kind.as_deref(), self.id.as_deref());
            let mut event = Vec::with_capacity(data.len() + 32);
            let written = Event { data, kind, id, retry_ms: None }.write(&mut event);
            debug_assert!(written.is_ok(), "a message with such fields is not made");
            let mut chunk = Vec::new();
            chunk::write(&mut chunk, &event);
            let start = chunk.len() - LINE_END.len() - event.len();
            (chunk.into_boxed_slice(), start)
        }))
    }

    /// How many bytes that are, as counts have it: without what frames them.
    #[must_use]
    pub fn bytes(&self, form: Form) -> usize {
        match form {
            Form::Frame | Form::Deflated(_) => self.data().len(),
            Form::Event | Form::Chunk => self.event().map_or(0, <[u8]>::len),
        }
    }
}
