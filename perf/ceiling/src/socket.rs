//! Hot path. A WebSocket that echoes.

use pyre_http::h1::reader;
use pyre_http::limits::Limits;
use pyre_http::websocket::close::Close;
use pyre_http::websocket::deflate::Deflater;
use pyre_http::websocket::extension::Agreed;
use pyre_http::websocket::receive::{Event, Receiver};
use pyre_http::websocket::{handshake, send};

/// Largest message in bytes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Shorter messages are not compressed.
const COMPRESSED_BYTES_MIN: usize = 256;

/// A connection after its handshake.
pub(crate) struct Socket {
    receiver: Receiver,
    deflater: Option<Deflater>,
    scratch: Vec<u8>,
}

impl Socket {
    /// Answers a handshake: the bytes of one request. Else the status to close with.
    pub(crate) fn open(head: &mut Vec<u8>, output: &mut Vec<u8>) -> Result<Self, u16> {
        let mut table = Vec::new();
        let next = reader::RequestReader::new().next(head, &mut table, &Limits::default());
        let Ok(reader::Next::Request(request)) = next else { return Err(400) };
        let fields = request.headers_in(&table);
        let accept = handshake::read(&request, fields, head).map_err(handshake::Refusal::status)?;
        let agreed = handshake::extensions(fields, head, true);
        output.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n");
        output.extend_from_slice(b"Connection: Upgrade\r\nSec-WebSocket-Accept: ");
        output.extend_from_slice(&accept);
        if let Some(agreed) = &agreed {
            output.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
            output.extend_from_slice(agreed.to_string().as_bytes());
        }
        output.extend_from_slice(b"\r\n\r\n");
        Ok(Self {
            receiver: Receiver::new(MESSAGE_BYTES_MAX, agreed.as_ref().map(Agreed::inflater)),
            deflater: agreed.as_ref().map(Agreed::deflater),
            scratch: Vec::new(),
        })
    }

    /// Echoes what is whole; says how many bytes were taken, and whether it was the last.
    pub(crate) fn echo(&mut self, input: &mut [u8], output: &mut Vec<u8>) -> (usize, bool) {
        let mut taken = 0;
        loop {
            match self.receiver.next(&mut input[taken..]) {
                Ok((count, None)) => return (taken + count, false),
                Ok((count, Some(event))) => {
                    taken += count;
                    match event {
                        Event::Message(kind, data) => match &mut self.deflater {
                            Some(deflater) if data.len() >= COMPRESSED_BYTES_MIN => {
                                send::compressed(output, kind, data, deflater, &mut self.scratch);
                            }
                            _ => send::message(output, kind, data),
                        },
                        Event::Ping(data) => send::pong(output, data),
                        Event::Pong(_) => {}
                        Event::Close(close) => {
                            send::close(output, &Close { reason: String::new(), ..close });
                            return (taken, true);
                        }
                    }
                }
                Err(failure) => {
                    send::failure(output, failure);
                    return (input.len(), true);
                }
            }
        }
    }
}
