//! Paths of Unix-domain sockets: each is bound once, in place of one that a server which is gone has left.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{Bound, CannotBind};
use crate::inbound::claim::Claim;
use crate::inbound::socket_file::SocketFile;
use crate::settings::Settings;

/// Binds a Unix-domain socket, which all reactors share.
pub(super) fn bind(settings: &Settings, path: &Path, bound: &mut Bound) -> Result<(), CannotBind> {
    let shown = path.display();
    if bound.files.iter().any(|other| other.is_at(path)) {
        return Err(CannotBind::Twice(format!(
            "unix:{shown} is listened on already: leave one of them out"
        )));
    }
    let (socket, file) = listen_on(path, settings.uds_mode, settings.backlog)?;
    bound.copy().file = Some(file.id());
    bound.files.push(file);
    bound
        .share(true, vec![socket])
        .map_err(|error| format!("cannot listen on unix:{shown}: {error}"))?;
    bound.urls.push(format!("unix:{shown}"));
    Ok(())
}

/// Makes a socket that listens on a path, in place of one that a server which is gone has left behind.
fn listen_on(path: &Path, mode: u32, backlog: i32) -> Result<(Socket, SocketFile), String> {
    let shown = path.display();
    let fail = |error: io::Error| format!("cannot listen on unix:{shown}: {error}");
    SockAddr::unix(path).map_err(fail)?;
    // Until it listens: nobody must take it for one that was left behind.
    let _claim = Claim::stake(path).map_err(fail)?;
    let answer = ask(path).map_err(fail)?;
    if matches!(answer, Answer::Serves) {
        return Err(format!("unix:{shown} is in use by another server; stop it or choose a path"));
    }
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if metadata.file_type().is_symlink() {
            return Err(format!(
                "unix:{shown} is a link, which is left alone: remove it, or give the path that it \
                 leads to"
            ));
        }
        if !metadata.file_type().is_socket() {
            return Err(format!("unix:{shown} is a file that is no socket; choose another path"));
        }
        if let Answer::Unknown(error) = answer {
            return Err(format!(
                "unix:{shown} is a socket that may be another server's, which cannot be asked: \
                 {error}; remove it if that server is gone, or choose another path"
            ));
        }
        std::fs::remove_file(path).map_err(fail)?;
    }
    let (socket, file) = SocketFile::make(path, mode).map_err(fail)?;
    if let Err(error) = socket.listen(backlog).and_then(|()| socket.set_nonblocking(true)) {
        file.unlink();
        return Err(fail(error));
    }
    Ok((socket, file))
}

/// What is known of a path on which a server is to listen.
enum Answer {
    /// There is nothing, or what nobody listens on.
    Nobody,
    /// Somebody listens there.
    Serves,
    /// It could not be found out.
    Unknown(io::Error),
}

/// Asks whether somebody listens on a path, without waiting for that one.
///
/// # Errors
/// There is no socket to ask with, or this can be no address.
fn ask(path: &Path) -> io::Result<Answer> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let Err(error) = socket.connect(&SockAddr::unix(path)?) else { return Ok(Answer::Serves) };
    Ok(match error.raw_os_error() {
        Some(libc::ECONNREFUSED | libc::ENOENT) => Answer::Nobody,
        // The queue of who listens is full, or it is a socket of another kind, which is open.
        Some(libc::EAGAIN | libc::EINPROGRESS | libc::EPROTOTYPE) => Answer::Serves,
        _ => Answer::Unknown(error),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn of_servers_that_start_at_once_one_has_the_socket() {
        let path = std::env::temp_dir().join(format!("pyre-at-once-{}", std::process::id()));
        for round in 0..100 {
            if round % 2 == 0 {
                // One that is gone has left it behind.
                drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            }
            let barrier = Barrier::new(4);
            let started: Vec<(Socket, SocketFile)> = thread::scope(|scope| {
                let start = || {
                    barrier.wait();
                    listen_on(&path, 0o600, 16)
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
                let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
                outcomes.filter_map(Result::ok).collect()
            });
            assert_eq!(started.len(), 1, "round {round}");
            assert!(started[0].1.is_there(), "round {round}");
            started[0].1.unlink();
            assert!(!path.exists(), "round {round}");
        }
    }
}
