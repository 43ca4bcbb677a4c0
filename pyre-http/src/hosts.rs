//! Which hosts are served here, and where a request goes that has come by plain http.

use std::net::IpAddr;

use crate::authority;
use crate::message::Request;

/// Names and addresses by which a server may be called.
#[derive(Debug)]
pub struct Hosts {
    named: Vec<Vec<u8>>,
    /// What the names of all below begin with: a dot.
    below: Vec<Vec<u8>>,
    /// A network and how many of its first bits count.
    networks: Vec<(IpAddr, u32)>,
}

impl Hosts {
    /// What these say: a name, one behind `*.` for all below, an address, or a network as `10.0.0.0/8`.
    ///
    /// # Errors
    /// What is wrong with which.
    pub fn parse<'a>(hosts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut found = Self { named: Vec::new(), below: Vec::new(), networks: Vec::new() };
        for host in hosts {
            if let Some((_, rest)) = host.split_once("://") {
                let name = rest.split('/').next().unwrap_or_default();
                return Err(format!("{host:?} is no host: leave out the scheme, as in {name:?}"));
            }
            if let Some((address, bits)) = host.split_once('/') {
                let address = address.parse::<IpAddr>().ok();
                let bits = bits.parse::<u32>().ok();
                let wrong = || format!("{host:?} is no network: write one as 10.0.0.0/8");
                let (Some(address), Some(bits)) = (address, bits) else { return Err(wrong()) };
                let width = width_of(address);
                if bits > width {
                    return Err(wrong());
                }
                if bits_of(address) & !mask(bits, width) != 0 {
                    return Err(format!("{host:?} is no network: it has bits behind its {bits}"));
                }
                found.networks.push((address, bits));
                continue;
            }
            let (name, is_below) = match host.strip_prefix("*.") {
                Some(name) => (name, true),
                None => (host, false),
            };
            let normal = normal(name.as_bytes()).to_ascii_lowercase();
            if name.contains('*') {
                return Err(format!(
                    "{host:?}: a star stands in front of a name alone: *.example.com"
                ));
            }
            if !authority::is_valid(name.as_bytes()) {
                return Err(format!("{host:?} is no host"));
            }
            if normal.len() < name.trim_end_matches('.').len() {
                return Err(format!("{host:?}: ports are not compared; name the host alone"));
            }
            if normal.is_empty() {
                return Err(format!("{host:?} is no host"));
            }
            if let Some(rest) = host.strip_prefix('.') {
                return Err(format!("{host:?} is no host: all below a name are \"*.{rest}\""));
            }
            // RFC 1034 section 3.1: only the root has a label without anything in it.
            if normal.split(|&byte| byte == b'.').any(<[u8]>::is_empty) {
                return Err(format!("{host:?} is no host: there is nothing between two dots"));
            }
            if !is_below && ends_in_number(&normal) && address_of(&normal).is_none() {
                return Err(format!("{host:?} ends in a number, and is no address as 192.0.2.7"));
            }
            match (is_below, address_of(&normal)) {
                (true, address) if address.is_some() || ends_in_number(&normal) => {
                    return Err(format!("{host:?}: nothing is below an address"));
                }
                (true, _) => found.below.push([b".", &normal[..]].concat()),
                // However it is written.
                (false, Some(address)) => found.networks.push((address, width_of(address))),
                (false, None) => found.named.push(normal),
            }
        }
        Ok(found)
    }

    /// Whether this host, with or without a port, is served. It is a valid authority.
    pub fn allows(&self, authority: &[u8]) -> bool {
        let host = normal(authority);
        if self.named.iter().any(|named| named.eq_ignore_ascii_case(host)) {
            return true;
        }
        let is_below = |end: &Vec<u8>| {
            // There is something in front of the dot.
            host.len() > end.len() && host[host.len() - end.len()..].eq_ignore_ascii_case(end)
        };
        self.below.iter().any(is_below)
            || !self.networks.is_empty()
                && address_of(host).is_some_and(|address| self.has_address(address))
    }

    fn has_address(&self, address: IpAddr) -> bool {
        let width = width_of(address);
        self.networks.iter().any(|&(network, bits)| {
            width_of(network) == width
                && (bits_of(network) ^ bits_of(address)) & mask(bits, width) == 0
        })
    }
}

/// The host of an authority: without the port, and without the dot that a full name may end with.
fn normal(authority: &[u8]) -> &[u8] {
    let host = host_of(authority);
    host.strip_suffix(b".").unwrap_or(host)
}

/// The host of a valid authority.
fn host_of(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|&byte| byte == b':' || byte == b']') {
        Some(at) if authority[at] == b':' => &authority[..at],
        _ => authority,
    }
}

fn address_of(host: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(host).ok()?;
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(text) => text.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

/// Whether this is an address for browsers, or nothing ("ends in a number", URL standard section 3.5).
fn ends_in_number(host: &[u8]) -> bool {
    let last = host.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    match last {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

const fn width_of(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The first bits of so many.
fn mask(bits: u32, width: u32) -> u128 {
    let all = u128::MAX >> (128 - width);
    all & !all.checked_shr(bits).unwrap_or(0)
}

/// Where requests go that have come by plain http.
#[derive(Debug)]
pub struct HttpsRedirect {
    /// The status of the answer.
    pub status: u16,
    /// None: the port of https.
    port: Option<u16>,
    /// None: the host that was asked.
    host: Option<String>,
}

impl HttpsRedirect {
    /// What these lines say: each is a name and, behind a space, its value.
    ///
    /// # Errors
    /// Which line says nothing that is known.
    pub fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut redirect = Self { status: 308, port: None, host: None };
        for line in lines {
            let wrong = || line.to_owned();
            match line.split_once(' ').ok_or_else(wrong)? {
                ("status", status) => redirect.status = status.parse().map_err(|_| wrong())?,
                ("port", port) => redirect.port = Some(port.parse().map_err(|_| wrong())?),
                ("host", host) if authority::is_valid(host.as_bytes()) => {
                    redirect.host = Some(host.to_owned());
                }
                _ => return Err(wrong()),
            }
        }
        Ok(redirect)
    }

    /// Whether there is an https URL for what this request asks for: none for `OPTIONS *` and CONNECT, which
    /// name no resource (RFC 9112 sections 3.2.3 and 3.2.4).
    pub fn concerns(request: &Request, bytes: &[u8]) -> bool {
        request.path.of(bytes).first() == Some(&b'/')
    }

    /// The same by https, or by wss if it asks for a WebSocket (RFC 6455 section 4.1); none if the request
    /// says no host, and none is set.
    pub fn location(&self, request: &Request, bytes: &[u8], is_socket: bool) -> Option<Vec<u8>> {
        let host = match &self.host {
            Some(host) => host.as_bytes(),
            // The reader has refused all that is no host, so nothing in it ends the authority.
            None => host_of(request.host.of(bytes)),
        };
        if host.is_empty() {
            return None;
        }
        let mut location = if is_socket { b"wss://".to_vec() } else { b"https://".to_vec() };
        location.extend_from_slice(host);
        if let Some(port) = self.port {
            location.push(b':');
            location.extend_from_slice(port.to_string().as_bytes());
        }
        location.extend_from_slice(request.path.of(bytes));
        if !request.query.is_empty() {
            location.push(b'?');
            location.extend_from_slice(request.query.of(bytes));
        }
        Some(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::reader::{Next, RequestReader};
    use crate::limits::Limits;

    #[test]
    fn who_is_served() {
        let hosts = [
            "Example.com",
            "*.api.example",
            "localhost.",
            "[2001:DB8:0::1]",
            "10.0.0.0/8",
            "192.0.2.7",
            "fd00::/8",
        ];
        let hosts = Hosts::parse(hosts.into_iter()).unwrap();
        for (authority, expected) in [
            ("example.com", true),
            ("EXAMPLE.COM:8000", true),
            ("example.com.", true),
            ("example.com.:443", true),
            ("example.com:", true),
            ("example.com..", false),
            ("a.example.com", false),
            ("xexample.com", false),
            ("example.com.evil", false),
            ("a.api.example", true),
            ("a.b.API.example:1", true),
            ("api.example", false),
            (".api.example", false),
            ("xapi.example", false),
            ("localhost:1", true),
            ("[2001:db8::1]", true),
            ("[2001:db8::1]:80", true),
            ("[2001:0db8:0:0:0:0:0:1]", true),
            ("[2001:db8::2]", false),
            ("10.1.2.3:8000", true),
            ("11.1.2.3", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("[fd12::1]", true),
            ("[fe80::1]", false),
            ("[::ffff:10.0.0.1]", false),
            ("10.0.0.0.evil", false),
            ("ex%61mple.com", false),
            ("", false),
        ] {
            assert_eq!(hosts.allows(authority.as_bytes()), expected, "{authority}");
        }
    }

    #[test]
    fn what_is_no_host() {
        for (host, said) in [
            ("", "no host"),
            ("a b", "no host"),
            ("https://a", "leave out the scheme"),
            ("HTTPS://a.b/c", "leave out the scheme"),
            ("a/b", "no network"),
            (".x.com", "all below a name are \"*.x.com\""),
            ("a..b", "nothing between two dots"),
            ("*..b", "nothing between two dots"),
            ("*..", "no host"),
            ("a..", "nothing between two dots"),
            ("256.1.1.1", "no address"),
            ("1.2.3", "no address"),
            ("1.2.3.4.5", "no address"),
            ("10.0.0.01", "no address"),
            ("a.5", "no address"),
            ("0x7f.0X1", "no address"),
            ("*.5", "below an address"),
            ("10.0.0.1/8", "bits behind"),
            ("10.0.0.0/33", "no network"),
            ("::1", "no host"),
            ("a:80", "ports"),
            ("[::1]:80", "ports"),
            ("*", "a star"),
            ("a.*.b", "a star"),
            ("*.*.b", "a star"),
            ("*.10.0.0.1", "below an address"),
            ("*.", "no host"),
            (".", "no host"),
        ] {
            let error = Hosts::parse([host].into_iter()).unwrap_err();
            assert!(error.contains(said), "{host}: {error}");
        }
        assert!(Hosts::parse(["0.0.0.0/0", "::/0"].into_iter()).unwrap().allows(b"[::1]"));
    }

    #[test]
    fn where_requests_go() {
        for (head, lines, is_socket, expected) in [
            (
                "GET /a?b=%20 HTTP/1.1\r\nHost: h.example:80\r\n\r\n",
                &[][..],
                false,
                Some("https://h.example/a?b=%20"),
            ),
            (
                "GET //evil/ HTTP/1.1\r\nHost: h\r\n\r\n",
                &["port 8443"],
                false,
                Some("https://h:8443//evil/"),
            ),
            ("GET / HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", &[], false, Some("https://[::1]/")),
            ("GET http://b:1/x HTTP/1.1\r\nHost: a\r\n\r\n", &[], false, Some("https://b/x")),
            ("GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n", &[], false, Some("https://b/?x")),
            (
                "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
                &["status 301", "host c"],
                true,
                Some("wss://c/ws"),
            ),
            ("GET / HTTP/1.0\r\n\r\n", &[], false, None),
            ("GET / HTTP/1.0\r\n\r\n", &["host c"], false, Some("https://c/")),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", &[], false, None),
        ] {
            let mut bytes = head.as_bytes().to_vec();
            let mut table = Vec::new();
            let read = RequestReader::new().next(&mut bytes, &mut table, &Limits::default());
            let Ok(Next::Request(request)) = read else { panic!("{head} is whole") };
            let redirect = HttpsRedirect::parse(lines.iter().copied()).unwrap();
            assert!(HttpsRedirect::concerns(&request, &bytes));
            let location = redirect.location(&request, &bytes, is_socket);
            assert_eq!(location.as_deref(), expected.map(str::as_bytes), "{head}");
        }
        for line in ["status x", "port 99999", "host a/b", "colour red", "status"] {
            assert!(HttpsRedirect::parse([line].into_iter()).is_err(), "{line}");
        }
    }
}
