//! Where a server listens.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where a listener is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    /// Host (name or address, without brackets) and port.
    Tcp(String, u16),
    /// Path of a Unix-domain socket; it need not be UTF-8.
    Unix(PathBuf),
    /// A listening socket that the process was started with, by its descriptor.
    Descriptor(i32),
}

impl fmt::Display for Bind {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(text, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(text, "{host}:{port}"),
            Self::Unix(path) => write!(text, "unix:{}", path.display()),
            Self::Descriptor(number) => write!(text, "fd:{number}"),
        }
    }
}

impl Bind {
    /// As `parse_bind` reads it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Unix(path) => [b"unix:", path.as_os_str().as_bytes()].concat(),
            other => other.to_string().into_bytes(),
        }
    }
}

/// Reads "host:port", "\[address\]:port", "unix:/path" or "fd:3".
pub(crate) fn parse_bind(bytes: &[u8]) -> Option<Bind> {
    if let Some(path) = bytes.strip_prefix(b"unix:") {
        return (!path.is_empty()).then(|| Bind::Unix(OsStr::from_bytes(path).into()));
    }
    let text = str::from_utf8(bytes).ok()?;
    if let Some(number) = text.strip_prefix("fd:") {
        return number.parse().ok().filter(|number| *number >= 0).map(Bind::Descriptor);
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| Bind::Tcp(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_hosts_with_ports_or_paths() {
        let parse_bind = |text: &str| parse_bind(text.as_bytes());
        let tcp = |host: &str, port| Some(Bind::Tcp(host.to_owned(), port));
        assert_eq!(parse_bind("127.0.0.1:8000"), tcp("127.0.0.1", 8000));
        assert_eq!(parse_bind("[::1]:0"), tcp("::1", 0));
        assert_eq!(parse_bind("localhost:80"), tcp("localhost", 80));
        assert_eq!(parse_bind("unix:/run/app.sock"), Some(Bind::Unix("/run/app.sock".into())));
        assert_eq!(parse_bind("fd:3"), Some(Bind::Descriptor(3)));
        for wrong in ["", "8000", ":80", "host:", "host:65536", "unix:", "fd:", "fd:-1", "fd:x"] {
            assert_eq!(parse_bind(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_bind_is_written_as_it_is_read() {
        for text in ["127.0.0.1:8000", "[::1]:0", "localhost:80", "unix:/run/app.sock", "fd:3"] {
            let bind = parse_bind(text.as_bytes()).unwrap();
            assert_eq!((bind.to_string().as_str(), &*bind.to_bytes()), (text, text.as_bytes()));
        }
        let path = b"unix:/run/\xff.sock";
        assert_eq!(parse_bind(path).unwrap().to_bytes(), path);
    }
}
