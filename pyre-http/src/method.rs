//! Request methods. They are case-sensitive (RFC 9110 section 9.1), so `get` is
//! [`Other`](crate::method::Method::Other).

/// A request method. What [`Method::Other`] is called stands in the request's `method_span`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    Connect,
    Trace,
    /// Any other token.
    Other,
}

impl Method {
    /// All of them, each at the index that is its number.
    pub const ALL: [Self; 10] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Patch,
        Self::Options,
        Self::Connect,
        Self::Trace,
        Self::Other,
    ];

    /// The method of this name.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        if name == b"GET" { Self::Get } else { Self::of_other(name) }
    }

    #[inline(never)]
    fn of_other(name: &[u8]) -> Self {
        match name {
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"HEAD" => Self::Head,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"OPTIONS" => Self::Options,
            b"CONNECT" => Self::Connect,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// Its name; empty for [`Method::Other`].
    #[inline]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Other => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn names_are_case_sensitive() {
        for name in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"]
        {
            assert_eq!(Method::of(name.as_bytes()).as_str(), name);
            assert_eq!(Method::of(name.to_ascii_lowercase().as_bytes()), Method::Other);
        }
        for (index, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, index);
        }
        assert_eq!(Method::of(b"GETS"), Method::Other);
        assert_eq!(Method::of(b""), Method::Other);
    }
}
