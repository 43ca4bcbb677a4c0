//! Opening the listeners: one per bound address and reactor, or those of the process that this one
//! succeeds.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::inbound::claim::Claim;
use crate::inbound::listener::{Listener, note_number};
use crate::inbound::socket_file::{FileId, SocketFile};
use crate::log::writer;
use crate::settings::{Bind, Settings};
use crate::sys;

/// Listening sockets that were opened elsewhere, for one entry of `binds`: by the process that this
/// one succeeds. Connections that wait in any of them are not lost as long as somebody has it open.
pub(crate) struct Handed {
    pub(crate) bind: Bind,
    pub(crate) sockets: Vec<OwnedFd>,
    /// The file of a Unix-domain socket that servers have made, not one that was given as a descriptor.
    pub(crate) file: Option<FileId>,
}

impl Handed {
    /// The same with new descriptors.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let sockets =
            self.sockets.iter().map(OwnedFd::try_clone).collect::<io::Result<Vec<OwnedFd>>>()?;
        sockets.iter().for_each(note_number);
        Ok(Self { bind: self.bind.clone(), sockets, file: self.file })
    }
}

/// Why an address cannot be listened on: a sentence that names it.
#[derive(Debug)]
pub(crate) enum CannotBind {
    /// Another of the addresses that were asked for is the same, or contains it.
    Twice(String),
    Failed(String),
}

impl From<String> for CannotBind {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

/// Everything that was bound: the listeners of each reactor, and the addresses as URLs.
pub(crate) struct Bound {
    pub(crate) listeners: Vec<Vec<Listener>>,
    pub(crate) urls: Vec<String>,
    /// The addresses of TCP that were bound here.
    addresses: Vec<SocketAddr>,
    /// Unix-domain sockets made here, to unlink at the end.
    pub(crate) files: Vec<SocketFile>,
    /// The same for those handed over, once this process serves: until then they are the others'.
    pub(crate) handed_files: Vec<SocketFile>,
    /// Copies of all sockets, for a successor of this process. While they are open, nobody is
    /// refused.
    pub(crate) copies: Vec<Handed>,
}

/// Binds every address once per reactor, or takes the sockets that were handed over for it.
///
/// # Errors
/// A sentence that names the address, and what to do where we know it.
pub(crate) fn bind(settings: &Settings, handed: Vec<Handed>) -> Result<Bound, CannotBind> {
    let mut bound = Bound {
        listeners: (0..settings.reactors).map(|_| Vec::new()).collect(),
        urls: Vec::new(),
        addresses: Vec::new(),
        files: Vec::new(),
        handed_files: Vec::new(),
        copies: Vec::new(),
    };
    let outcome = bind_all(settings, handed, &mut bound);
    if outcome.is_err() {
        // While their sockets are open.
        bound.files.iter().for_each(SocketFile::unlink);
    }
    outcome.map(|()| bound)
}

fn bind_all(
    settings: &Settings,
    mut handed: Vec<Handed>,
    bound: &mut Bound,
) -> Result<(), CannotBind> {
    for bind in &settings.binds {
        let handed =
            handed.iter().position(|entry| entry.bind == *bind).map(|index| handed.remove(index));
        let file = handed.as_ref().and_then(|entry| entry.file);
        bound.copies.push(Handed { bind: bind.clone(), sockets: Vec::new(), file });
        if let Some(handed) = handed {
            let sockets = handed.sockets.into_iter().map(Socket::from).collect();
            adopt(settings, bind, sockets, bound)?;
            continue;
        }
        match bind {
            Bind::Tcp(host, port) => bind_tcp(settings, host, *port, bound)?,
            Bind::Unix(path) => bind_unix(settings, path, bound)?,
            Bind::Descriptor(number) => {
                let socket = sys::duplicate(*number).map_err(|error| {
                    format!("descriptor {number} cannot be listened on: {error}")
                })?;
                adopt(settings, bind, vec![Socket::from(socket)], bound)?;
            }
        }
    }
    Ok(())
}

/// Takes sockets that listen already and spreads them over the reactors. With fewer sockets than
/// reactors some share one, with more some have several: none may be left out, as the kernel goes
/// on giving connections to each.
fn adopt(
    settings: &Settings,
    bind: &Bind,
    sockets: Vec<Socket>,
    bound: &mut Bound,
) -> Result<(), String> {
    let fail = |error: io::Error| format!("cannot listen on the socket of {bind}: {error}");
    let mut groups: Vec<(SockAddr, Vec<Socket>)> = Vec::new();
    for socket in sockets {
        if !socket.is_listener().unwrap_or(false) {
            return Err(format!(
                "{bind} is no listening socket: whoever opens it has to call listen() as well"
            ));
        }
        let local = socket.local_addr().map_err(fail)?;
        socket.set_nonblocking(true).map_err(fail)?;
        match groups.iter_mut().find(|(address, _)| *address == local) {
            Some((_, group)) => group.push(socket),
            None => groups.push((local, vec![socket])),
        }
    }
    for (local, group) in groups {
        if let Some(path) = local.as_pathname() {
            // A socket that was given by its descriptor belongs to whoever opened it.
            if let Bind::Unix(path) = bind
                && find_or_make(settings, path, bound) == Place::Made
            {
                continue;
            }
            bound.urls.push(format!("unix:{}", path.display()));
        } else if local.is_unix() {
            bound.urls.push(format!("{bind}"));
        } else if let Some(address) = local.as_socket() {
            bound.urls.push(format!("http://{address}"));
        } else {
            return Err(format!("{bind} is neither a TCP nor a Unix-domain socket"));
        }
        bound.share(local.is_unix(), group).map_err(fail)?;
    }
    Ok(())
}

/// Where the path of a socket that was handed over leads.
#[derive(PartialEq)]
enum Place {
    /// To that socket, or nowhere that this process could change.
    Kept,
    /// To a new one, which has been bound.
    Made,
}

/// Sees to the path of a socket that was handed over: somebody may have removed it, after which nobody
/// could connect, or another server may have put its own there, which is left alone while that serves. What
/// cannot be put right is no reason not to serve what else there is.
fn find_or_make(settings: &Settings, path: &Path, bound: &mut Bound) -> Place {
    // It is still open, as it was handed over, so no other file has its number.
    let handed = bound.copy().file.map(|id| SocketFile::of(path, id));
    if let Some(file) = handed
        && file.is_there()
    {
        bound.handed_files.push(file);
        return Place::Kept;
    }
    let reason = match bind_unix(settings, path, bound) {
        Ok(()) => return Place::Made,
        Err(CannotBind::Twice(text) | CannotBind::Failed(text)) => text,
    };
    let shown = path.display();
    writer::say(
        "WARNING",
        "pyre: ",
        &format!(
            "nobody can connect to unix:{shown} any more, which the next restart tries to put right: \
             {reason}"
        ),
    );
    Place::Kept
}

impl Bound {
    /// Gives listening sockets of one address to the reactors, and keeps copies, also if that fails.
    fn share(&mut self, is_unix: bool, sockets: Vec<Socket>) -> io::Result<()> {
        let reactors = self.listeners.len();
        let (count, copies) = (sockets.len(), &mut self.copy().sockets);
        let before = copies.len();
        sockets.iter().for_each(note_number);
        copies.extend(sockets.into_iter().map(OwnedFd::from));
        for index in 0..reactors.max(count) {
            let socket = Socket::from(self.copy().sockets[before + index % count].try_clone()?);
            note_number(&socket);
            self.listeners[index % reactors].push(if is_unix {
                Listener::Unix(mio::net::UnixListener::from_std(socket.into()))
            } else {
                Listener::Tcp(mio::net::TcpListener::from_std(socket.into()))
            });
        }
        Ok(())
    }

    /// The copies of the entry that is being bound.
    fn copy(&mut self) -> &mut Handed {
        self.copies.last_mut().expect("each entry begins with an empty list")
    }
}

fn bind_tcp(
    settings: &Settings,
    host: &str,
    port: u16,
    bound: &mut Bound,
) -> Result<(), CannotBind> {
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("cannot find the address of host {host:?}: {error}"))?
        .collect();
    // A name such as `localhost` may stand for an IPv6 and an IPv4 address: both are served. With
    // port 0 all of them share the port that the first one is given.
    let mut chosen_port = port;
    let mut seen: Vec<SocketAddr> = Vec::new();
    let mut failure = None;
    for mut address in addresses {
        address.set_port(chosen_port);
        if seen.contains(&address) {
            continue;
        }
        if let Some(other) = bound.addresses.iter().find(|other| overlap(address, **other)) {
            return Err(CannotBind::Twice(format!(
                "{host}:{port} is listened on already, by way of {other}: leave one of them out"
            )));
        }
        match bind_address(settings, address, bound) {
            Ok(local) => {
                chosen_port = local.port();
                address.set_port(chosen_port);
                seen.push(address);
                bound.urls.push(format!("http://{local}"));
                bound.addresses.push(local);
            }
            Err(error) => failure = Some((address, error)),
        }
    }
    match failure {
        None if !seen.is_empty() => Ok(()),
        None => Err(format!("host {host:?} has no address").into()),
        // A machine without IPv6 still resolves `localhost` to ::1.
        Some((_, error)) if !seen.is_empty() && is_missing_family(&error) => Ok(()),
        Some((address, error)) => Err(explain(address, &error).into()),
    }
}

fn is_missing_family(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)
    )
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use by another server; stop it, choose another port, or set \
             reuse_port=True in both to share the port"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "no permission to listen on {address}; ports below 1024 need a privilege, choose a \
             higher one"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is not an address of this machine")
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

/// Binds one address once per reactor, and returns it with its real port.
fn bind_address(
    settings: &Settings,
    address: SocketAddr,
    bound: &mut Bound,
) -> io::Result<SocketAddr> {
    let mut local = address;
    let mut sockets = Vec::new();
    for index in 0..settings.reactors {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // One listener an address family: `[::]` does not take what belongs to `0.0.0.0`.
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        // SO_REUSEPORT lets our own reactors share the port. The first socket is bound without
        // it, so that a port another server listens on is refused, and joins the group after.
        let exclusive = index == 0 && !settings.reuse_port;
        if !exclusive {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&SockAddr::from(local))?;
        if exclusive && settings.reactors > 1 {
            socket.set_reuse_port(true)?;
        }
        if index == 0
            && let Some(chosen) = socket.local_addr()?.as_socket()
        {
            local = chosen;
        }
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    // Listening starts when all are bound: the kernel spreads connections over the whole group.
    for socket in &sockets {
        socket.listen(settings.backlog)?;
    }
    bound.share(false, sockets)?;
    Ok(local)
}

/// Binds a Unix-domain socket, which all reactors share.
fn bind_unix(settings: &Settings, path: &Path, bound: &mut Bound) -> Result<(), CannotBind> {
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

/// Whether nobody can listen on both addresses.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_wildcard = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.is_ipv4() == other.is_ipv4()
        && one.port() == other.port()
        && (one.ip() == other.ip() || is_wildcard)
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

    #[test]
    fn addresses_overlap_by_port_and_family() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::1]:80", "[::]:80", true),
            ("0.0.0.0:80", "[::]:80", false),
        ] {
            let [one, other] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }
}
