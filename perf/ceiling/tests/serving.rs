//! The ceiling over a real socket: order, cuts and closing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// A running server that ends with the test.
struct Ceiling {
    process: Child,
    address: String,
}

impl Ceiling {
    fn start(threads: usize) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ceiling"))
            .args(["--port", "0", "--threads", &threads.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").to_owned();
        Self { process, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Sends the pieces one by one and returns the bodies of all answers until the server closes.
fn bodies(stream: &mut TcpStream, pieces: &[&[u8]]) -> Vec<String> {
    for piece in pieces {
        stream.write_all(piece).unwrap();
    }
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    received
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap().1.to_owned())
        .collect()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const USER: &[u8] = b"GET /user/7 HTTP/1.1\r\nHost: x\r\n\r\n";
const ECHO: &[u8] = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n[1]";
const LAST: &[u8] = b"GET /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const ANSWERS: [&str; 4] =
    ["Hello, World!", "{\"id\":\"7\"}", "[1]", "{\"message\":\"Hello, World!\"}"];

#[test]
fn answers_a_pipeline_in_order() {
    let server = Ceiling::start(1);
    let pipeline = [GET, USER, ECHO, LAST].concat();
    assert_eq!(bodies(&mut server.connect(), &[&pipeline]), ANSWERS);
}

#[test]
fn answers_a_pipeline_that_comes_byte_by_byte() {
    let server = Ceiling::start(1);
    let pipeline = [GET, USER, ECHO, LAST].concat();
    let pieces: Vec<&[u8]> = pipeline.chunks(1).collect();
    assert_eq!(bodies(&mut server.connect(), &pieces), ANSWERS);
}

#[test]
fn serves_nothing_behind_the_last_request() {
    let server = Ceiling::start(1);
    let pipeline = [LAST, GET].concat();
    assert_eq!(bodies(&mut server.connect(), &[&pipeline]), ANSWERS[3..]);
    let broken = [GET, b"BROKEN\r\n\r\n", GET].concat();
    let refused = ["Hello, World!", "{\"error\":\"bad request\"}"];
    assert_eq!(bodies(&mut server.connect(), &[&broken]), refused);
}

#[test]
fn answers_a_client_that_has_closed_its_side() {
    let server = Ceiling::start(1);
    let mut stream = server.connect();
    stream.write_all(GET).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bodies(&mut stream, &[]), ANSWERS[..1]);
}

#[test]
fn waits_for_a_client_that_reads_late() {
    let server = Ceiling::start(1);
    let mut stream = server.connect();
    let body = vec![b'1'; 1 << 20];
    let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let echo = [head.as_bytes(), &body].concat();
    // More than both sockets can hold, while nobody reads.
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for _ in 0..16 {
            writer.write_all(&echo).unwrap();
        }
        writer.write_all(LAST).unwrap();
    });
    let answers = bodies(&mut stream, &[]);
    sender.join().unwrap();
    assert_eq!(answers.len(), 17);
    assert!(answers[..16].iter().all(|answer| answer.len() == body.len()));
}

#[test]
fn answers_in_chunks() {
    let server = Ceiling::start(1);
    let mut stream = server.connect();
    // More than both sockets can hold, a piece that is cut, and a request behind it.
    let length = 16_000_001;
    let asked = format!("GET /reply/{length} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(&[asked.as_bytes(), LAST].concat()).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    let (head, mut rest) = received.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    let mut body = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n").unwrap();
        let (chunk, behind) = behind.split_at(usize::from_str_radix(size, 16).unwrap());
        body.push_str(chunk);
        rest = behind.strip_prefix("\r\n").unwrap();
        if chunk.is_empty() {
            break;
        }
    }
    assert_eq!(body.len(), length);
    for (number, line) in body[..length - 1].lines().enumerate() {
        assert_eq!(line, format!("{:015}", number % 4096));
    }
    assert!(rest.starts_with("HTTP/1.1 200 OK") && rest.ends_with(ANSWERS[3]), "{rest}");
}

#[test]
fn counts_a_body() {
    let server = Ceiling::start(1);
    let head = "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 16000001\r\n\r\n";
    let body = vec![b'x'; 16_000_001];
    let pieces = [head.as_bytes(), &body, GET, LAST];
    let answers = ["16000001", ANSWERS[0], ANSWERS[3]];
    assert_eq!(bodies(&mut server.connect(), &pieces), answers);
    assert_eq!(bodies(&mut server.connect(), &[&pieces.concat()]), answers);
}

#[test]
fn every_reactor_serves() {
    let server = Ceiling::start(4);
    for _ in 0..32 {
        assert_eq!(bodies(&mut server.connect(), &[LAST]), ANSWERS[3..]);
    }
}
