//! A native HTTP/1.1 server without Python: the ceiling that Pyre is measured against.
//!
//! It does what any server must do for the five benchmark routes and nothing more: read, find every
//! complete request, answer them in order, write once. Its answers have the bytes of Pyre's, so
//! that both put the same work on the kernel and on the load generator. A WebSocket at `/ws` echoes, by
//! the frames of Pyre; `GET /reply/{bytes}` is answered in chunks, and `POST /upload` with the length of
//! its body.
//!
//! `ceiling [--host 127.0.0.1] [--port 8000] [--threads 1]`; port 0 lets the system choose. The
//! address is printed once the server listens.
#![forbid(unsafe_code)]

mod arguments;
mod reactor;
mod connection;
mod request;
mod answer;
mod heads;
mod socket;
mod flow;
mod date;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

use arguments::Arguments;
use reactor::Reactor;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(complaint) => {
            let _ = writeln!(io::stderr(), "ceiling: {complaint}");
            return ExitCode::from(2);
        }
    };
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ceiling: {}: {error}", arguments.address);
            ExitCode::FAILURE
        }
    }
}

/// Runs one reactor per thread; comes back only if one of them fails.
fn serve(arguments: &Arguments) -> io::Result<()> {
    let first = Reactor::bind(arguments.address)?;
    let address: SocketAddr = first.address()?;
    let mut others = Vec::new();
    for _ in 1..arguments.threads {
        others.push(Reactor::bind(address)?);
    }
    writeln!(io::stdout(), "http://{address}")?;
    io::stdout().flush()?;
    for reactor in others {
        thread::spawn(move || reactor.run());
    }
    first.run()
}
