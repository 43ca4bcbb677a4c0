//! Hot path. One connection: read what is there, answer every complete request, write once.
//!
//! While an answer waits for the client to read, no further request is taken.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use crate::answer;
use crate::flow::{self, Reply, Upload};
use crate::heads::Heads;
use crate::request::{Next, next_request};
use crate::socket::Socket;

/// First size of the read buffer in bytes; a larger request makes it grow.
const INPUT_BYTES: usize = 16 * 1024;
/// Largest request, head and body, in bytes.
const INPUT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// What a turn leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    Open,
    Closed,
}

/// A socket and its two buffers.
pub(crate) struct Connection {
    stream: TcpStream,
    /// `input[..filled]` was received and not answered yet; the rest is room.
    input: Vec<u8>,
    filled: usize,
    /// `output[written..]` waits for the socket.
    output: Vec<u8>,
    written: usize,
    /// No more requests: the peer asked to close, or was wrong.
    last: bool,
    /// The peer has closed its side.
    ended: bool,
    /// Set once the connection was upgraded.
    socket: Option<Box<Socket>>,
    /// An answer in chunks, behind what `output` holds; no further request is taken before its end.
    reply: Option<Box<Reply>>,
    /// A body that is counted.
    upload: Option<Upload>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let input = vec![0; INPUT_BYTES];
        let output = Vec::new();
        Self {
            stream,
            input,
            filled: 0,
            output,
            written: 0,
            last: false,
            ended: false,
            socket: None,
            reply: None,
            upload: None,
        }
    }

    /// Goes on for as long as the socket gives or takes anything.
    ///
    /// `ended` says that the peer will send no more; what it sent before is still answered.
    pub(crate) fn turn(&mut self, ended: bool, heads: &Heads) -> Turn {
        self.ended |= ended;
        match self.exchange(heads) {
            Ok(turn) => turn,
            Err(_) => Turn::Closed,
        }
    }

    fn exchange(&mut self, heads: &Heads) -> io::Result<Turn> {
        if !self.send(heads)? {
            return Ok(Turn::Open);
        }
        loop {
            if self.last {
                return Ok(Turn::Closed);
            }
            if self.filled == self.input.len() {
                // A turn that ends with a full buffer has answered all that was complete in it.
                if self.filled >= INPUT_BYTES_MAX {
                    return Ok(Turn::Closed);
                }
                self.input.resize(self.filled * 2, 0);
            }
            let room = self.input.len() - self.filled;
            let received = match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) => return Ok(Turn::Closed),
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Open),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.filled += received;
            self.answer_all(heads);
            if !self.send(heads)? {
                return Ok(Turn::Open);
            }
            // A short read emptied the socket (epoll(7)): the next bytes bring an event. But an end
            // that came with them has had its event, so it must be read to be seen.
            if received < room && !self.last && !self.ended {
                return Ok(Turn::Open);
            }
        }
    }

    /// Answers the complete requests in the order in which they came and keeps what is left.
    fn answer_all(&mut self, heads: &Heads) {
        let mut start = 0;
        while !self.last && self.reply.is_none() && start < self.filled {
            if let Some(upload) = &mut self.upload {
                start += upload.take(self.filled - start);
                if upload.is_whole() {
                    upload.answer(&mut self.output, heads);
                    self.last = !upload.keep_alive;
                    self.upload = None;
                }
                continue;
            }
            if let Some(socket) = &mut self.socket {
                let input = &mut self.input[start..self.filled];
                let (used, is_over) = socket.echo(input, &mut self.output);
                start += used;
                self.last = is_over;
                break;
            }
            match next_request(&self.input[start..self.filled]) {
                Next::Request(request) if request.path == "/ws" => {
                    let mut head = self.input[start..start + request.bytes].to_vec();
                    start += head.len();
                    match Socket::open(&mut head, &mut self.output) {
                        Ok(socket) => self.socket = Some(Box::new(socket)),
                        Err(status) => {
                            answer::write_refusal(&mut self.output, status, heads);
                            self.last = true;
                        }
                    }
                }
                Next::Upload { head_bytes, body_bytes, keep_alive } => {
                    start += head_bytes;
                    self.upload = Some(Upload::new(body_bytes, keep_alive));
                    if self.input.len() < flow::INPUT_BYTES {
                        self.input.resize(flow::INPUT_BYTES, 0);
                    }
                }
                Next::Request(request) => {
                    start += request.bytes;
                    self.last = !request.keep_alive;
                    match request.reply_bytes() {
                        None => answer::write(&mut self.output, &request, heads),
                        Some(bytes) => {
                            let reply = Reply::begin(&mut self.output, bytes, heads);
                            self.reply = Some(Box::new(reply));
                        }
                    }
                }
                Next::Partial => break,
                Next::Refused(status) => {
                    answer::write_refusal(&mut self.output, status, heads);
                    self.last = true;
                }
            }
        }
        if start > 0 {
            self.input.copy_within(start..self.filled, 0);
            self.filled -= start;
        }
    }

    /// Writes what waits, and what was asked for behind a long answer; true if nothing is left.
    fn send(&mut self, heads: &Heads) -> io::Result<bool> {
        loop {
            if !self.flush()? {
                return Ok(false);
            }
            let Some(reply) = &mut self.reply else { return Ok(true) };
            if !reply.go_on(&mut self.stream)? {
                return Ok(false);
            }
            self.reply = None;
            self.answer_all(heads);
        }
    }

    /// Writes what `output` holds; true if nothing is left.
    fn flush(&mut self) -> io::Result<bool> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.written += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(true)
    }
}
