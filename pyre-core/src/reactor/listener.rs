//! Sockets that wait for connections: one per bound address and reactor.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use mio::event::Source;
use mio::{Interest, Registry, Token};
use pyre_interp::job::Client;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::reactor::transport::Transport;
use crate::settings::{Bind, Settings};

/// A listening socket that belongs to one reactor.
pub(crate) enum Listener {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
}

impl Listener {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Self::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// The next connection that waits.
    pub(crate) fn accept(&self) -> io::Result<(Transport, Client)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // A pipelining client would otherwise wait for its own delayed acknowledgement.
                // A peer that is gone already makes this fail; reading finds that out.
                let _ = stream.set_nodelay(true);
                Ok((Transport::Tcp(stream), Client::Tcp(peer)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Ok((Transport::Unix(stream), Client::Local))
            }
        }
    }
}

/// Everything that was bound: the listeners of each reactor, and the addresses as URLs.
pub(crate) struct Bound {
    pub(crate) listeners: Vec<Vec<Listener>>,
    pub(crate) urls: Vec<String>,
    /// Unix-domain sockets to unlink at the end.
    pub(crate) paths: Vec<String>,
}

/// Binds every address once per reactor.
///
/// # Errors
/// A sentence that names the address, and what to do where we know it.
pub(crate) fn bind(settings: &Settings) -> Result<Bound, String> {
    let mut bound = Bound {
        listeners: (0..settings.reactors).map(|_| Vec::new()).collect(),
        urls: Vec::new(),
        paths: Vec::new(),
    };
    for address in &settings.binds {
        match address {
            Bind::Tcp(host, port) => bind_tcp(settings, host, *port, &mut bound)?,
            Bind::Unix(path) => bind_unix(settings, path, &mut bound)?,
        }
    }
    Ok(bound)
}

fn bind_tcp(settings: &Settings, host: &str, port: u16, bound: &mut Bound) -> Result<(), String> {
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
        match bind_address(settings, address, bound) {
            Ok(local) => {
                chosen_port = local.port();
                address.set_port(chosen_port);
                seen.push(address);
                bound.urls.push(format!("http://{local}"));
            }
            Err(error) => failure = Some((address, error)),
        }
    }
    match failure {
        None if !seen.is_empty() => Ok(()),
        None => Err(format!("host {host:?} has no address")),
        // A machine without IPv6 still resolves `localhost` to ::1.
        Some((_, error)) if !seen.is_empty() && is_missing_family(&error) => Ok(()),
        Some((address, error)) => Err(explain(address, &error)),
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
    for (listeners, socket) in bound.listeners.iter_mut().zip(sockets) {
        socket.listen(settings.backlog)?;
        listeners.push(Listener::Tcp(mio::net::TcpListener::from_std(socket.into())));
    }
    Ok(local)
}

/// Binds a Unix-domain socket, which all reactors share.
fn bind_unix(settings: &Settings, path: &str, bound: &mut Bound) -> Result<(), String> {
    let fail = |error: io::Error| format!("cannot listen on unix:{path}: {error}");
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(format!("unix:{path} is in use by another server; stop it or choose a path"));
    }
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        use std::os::unix::fs::FileTypeExt;
        if !metadata.file_type().is_socket() {
            return Err(format!("unix:{path} is a file that is no socket; choose another path"));
        }
        // Nobody answers there: it was left behind by a server that is gone.
        std::fs::remove_file(path).map_err(fail)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(fail)?;
    socket.bind(&SockAddr::unix(path).map_err(fail)?).map_err(fail)?;
    bound.paths.push(path.to_owned());
    socket.listen(settings.backlog).map_err(fail)?;
    socket.set_nonblocking(true).map_err(fail)?;
    for listeners in &mut bound.listeners {
        let socket = socket.try_clone().map_err(fail)?;
        listeners.push(Listener::Unix(mio::net::UnixListener::from_std(socket.into())));
    }
    bound.urls.push(format!("unix:{path}"));
    Ok(())
}
