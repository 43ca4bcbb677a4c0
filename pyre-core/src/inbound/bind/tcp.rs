//! Addresses of TCP: each is bound once per reactor.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Bound, CannotBind};
use crate::settings::{Bind, Settings};

pub(super) fn bind(
    settings: &Settings,
    host: &str,
    port: u16,
    bound: &mut Bound,
) -> Result<(), CannotBind> {
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("cannot find the address of host {host:?}: {error}"))?
        .collect();
    let bind = Bind::Tcp(host.to_owned(), port);
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
        if let Some((_, other)) = bound.addresses.iter().find(|(other, _)| overlap(address, *other))
        {
            return Err(CannotBind::Twice(format!(
                "{bind} is listened on already, by way of {other}: leave one of them out"
            )));
        }
        match bind_address(settings, address, bound) {
            Ok(local) => {
                chosen_port = local.port();
                address.set_port(chosen_port);
                seen.push(address);
                bound.urls.push(format!("http://{local}"));
                bound.addresses.push((local, bind.clone()));
            }
            Err(error) => failure = Some((address, error)),
        }
    }
    match failure {
        None if !seen.is_empty() => Ok(()),
        None => Err(format!("host {host:?} has no address").into()),
        // A machine without IPv6 still resolves `localhost` to ::1.
        Some((_, error)) if !seen.is_empty() && is_missing_family(&error) => Ok(()),
        Some((address, error)) => Err(explain(address, &error, &bound.before).into()),
    }
}

fn is_missing_family(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)
    )
}

/// Says why an address cannot be bound. `before` is what the process listens on that this one
/// succeeds, and of which that one lets go only when this one serves.
fn explain(address: SocketAddr, error: &io::Error, before: &[SocketAddr]) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse
            if let Some(other) = before.iter().find(|other| overlap(address, **other)) =>
        {
            format!(
                "{address} cannot be listened on as long as the process before this one, which it is \
                 to replace, listens on {other}: this change needs a stop and a start"
            )
        }
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
        // A socket for IPv6 alone, as all of them are, does not take it.
        io::ErrorKind::InvalidInput
            if let IpAddr::V6(ip) = address.ip()
                && let Some(ip) = ip.to_ipv4_mapped() =>
        {
            let plain = SocketAddr::from((ip, address.port()));
            format!("{address} is an address of IPv4: give {plain} instead")
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

/// Whether nobody can listen on both addresses.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_wildcard = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.is_ipv4() == other.is_ipv4()
        && one.port() == other.port()
        && (one.ip() == other.ip() || is_wildcard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_that_is_written_as_one_of_ipv6() {
        let address = "[::ffff:127.0.0.1]:80".parse().unwrap();
        let said = explain(address, &io::Error::from_raw_os_error(libc::EINVAL), &[]);
        assert_eq!(said, "[::ffff:127.0.0.1]:80 is an address of IPv4: give 127.0.0.1:80 instead");
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
