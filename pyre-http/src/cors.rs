//! Cross-origin resource sharing: which pages of other origins may read answers (the Fetch standard,
//! section 3.3). What it grants is a part of each head; a preflight is answered without a handler.

use regex_lite::Regex;

use crate::header::{HeaderSpan, find_only, is_name};
use crate::method::Method;
use crate::span::Span;

/// A header of an answer.
pub type Field = (&'static [u8], Vec<u8>);

/// What pages of other origins may do.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    /// None: the one that the preflight asks for.
    methods: Option<String>,
    /// None: those that the preflight asks for.
    headers: Option<String>,
    exposed: String,
    max_age_s: u32,
    private_network: bool,
}

#[derive(Debug)]
enum Origins {
    Any,
    Some { named: Vec<Vec<u8>>, pattern: Option<Regex> },
}

impl Cors {
    /// What these lines say: each is a name and, behind a space, its value.
    ///
    /// # Errors
    /// Which line says nothing that is known, or what is wrong with the pattern.
    pub fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut cors = Self {
            origins: Origins::Some { named: Vec::new(), pattern: None },
            credentials: false,
            methods: None,
            headers: None,
            exposed: String::new(),
            max_age_s: 0,
            private_network: false,
        };
        for line in lines {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match (name, &mut cors.origins) {
                ("origin", origins) if value == "*" => *origins = Origins::Any,
                ("origin", Origins::Some { named, .. }) => named.push(value.as_bytes().to_vec()),
                ("pattern", Origins::Some { pattern, .. }) => {
                    // The whole origin has to fit.
                    let whole = Regex::new(&format!("^(?:{value})$"));
                    *pattern = Some(whole.map_err(|error| error.to_string())?);
                }
                ("origin" | "pattern", Origins::Any) => {}
                ("credentials", _) => cors.credentials = true,
                ("methods", _) => cors.methods = Some(value.to_owned()),
                ("headers", _) => cors.headers = Some(value.to_owned()),
                ("exposed", _) => cors.exposed = value.to_owned(),
                ("private_network", _) => cors.private_network = true,
                ("max_age", _) => {
                    cors.max_age_s = value.parse().map_err(|_| line.to_owned())?;
                }
                _ => return Err(line.to_owned()),
            }
        }
        Ok(cors)
    }

    /// Whether an answer depends on the origin of its request.
    pub fn is_by_origin(&self) -> bool {
        // With credentials no browser takes `*`.
        self.credentials || !matches!(self.origins, Origins::Any)
    }

    /// Whether pages of this origin may read answers.
    pub fn allows(&self, origin: &[u8]) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Some { named, pattern } => {
                named.iter().any(|named| named == origin)
                    || pattern.as_ref().is_some_and(|pattern| {
                        str::from_utf8(origin).is_ok_and(|origin| pattern.is_match(origin))
                    })
            }
        }
    }

    /// The origin of a request, if its pages may read the answer and the answer has to name it; empty
    /// otherwise.
    pub fn granted(&self, fields: &[HeaderSpan], bytes: &[u8]) -> Span {
        if !self.is_by_origin() {
            return Span::default();
        }
        let origin = find_only(fields, bytes, b"origin");
        origin.filter(|origin| self.allows(origin.of(bytes))).unwrap_or_default()
    }

    /// What each head says, whoever asks.
    pub(crate) fn lines_for_all(&self) -> String {
        if self.is_by_origin() {
            // RFC 9110 section 12.5.5: a cache must not give one origin what is another's.
            return "\r\nVary: Origin".to_owned();
        }
        let mut lines = "\r\nAccess-Control-Allow-Origin: *".to_owned();
        self.add_exposed(&mut lines);
        lines
    }

    /// What a head says that names an origin, behind that.
    pub(crate) fn lines_behind_origin(&self) -> String {
        let mut lines = String::new();
        if self.credentials {
            lines.push_str("\r\nAccess-Control-Allow-Credentials: true");
        }
        self.add_exposed(&mut lines);
        lines
    }

    fn add_exposed(&self, lines: &mut String) {
        if !self.exposed.is_empty() {
            lines.push_str("\r\nAccess-Control-Expose-Headers: ");
            lines.push_str(&self.exposed);
        }
    }

    /// Whether a request asks what a page may send; then it is not for a handler.
    pub fn is_preflight(method: Method, fields: &[HeaderSpan], bytes: &[u8]) -> bool {
        method == Method::Options
            && find_only(fields, bytes, b"origin").is_some()
            && find_only(fields, bytes, b"access-control-request-method").is_some()
    }

    /// What is answered to a preflight, beside what each head says: a status and headers.
    pub fn preflight(&self, fields: &[HeaderSpan], bytes: &[u8]) -> (u16, Vec<Field>) {
        let asked = |name: &[u8]| find_only(fields, bytes, name).map(|value| value.of(bytes));
        let mut answer: Vec<Field> = Vec::new();
        // It depends on what is asked for; caches keep no OPTIONS, but some in front of servers do.
        let mut depends_on =
            b"Access-Control-Request-Method, Access-Control-Request-Headers".to_vec();
        if self.private_network {
            depends_on.extend_from_slice(b", Access-Control-Request-Private-Network");
        }
        answer.push((b"Vary", depends_on));
        if !asked(b"origin").is_some_and(|origin| self.allows(origin)) {
            return (403, answer);
        }
        let methods = match &self.methods {
            Some(methods) => Some(methods.as_bytes()),
            // With credentials `*` is a name.
            None => asked(b"access-control-request-method").filter(|method| is_name(method)),
        };
        if let Some(methods) = methods.filter(|methods| !methods.is_empty()) {
            answer.push((b"Access-Control-Allow-Methods", methods.to_vec()));
        }
        let headers = match &self.headers {
            Some(headers) => Some(headers.as_bytes()),
            // `*` would not cover Authorization, and nothing at all with credentials.
            None => asked(b"access-control-request-headers").filter(|list| is_list(list)),
        };
        if let Some(headers) = headers.filter(|headers| !headers.is_empty()) {
            answer.push((b"Access-Control-Allow-Headers", headers.to_vec()));
        }
        answer.push((b"Access-Control-Max-Age", self.max_age_s.to_string().into_bytes()));
        // The draft on private network access, section 3.2.
        let wants = asked(b"access-control-request-private-network");
        if self.private_network && wants == Some(b"true") {
            answer.push((b"Access-Control-Allow-Private-Network", b"true".to_vec()));
        }
        (204, answer)
    }

    /// Whether a header says what is said here.
    pub fn is_ours(name: &[u8]) -> bool {
        const OURS: [&[u8]; 3] = [
            b"access-control-allow-origin",
            b"access-control-allow-credentials",
            b"access-control-expose-headers",
        ];
        OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
    }
}

/// Whether these are names of headers, and nothing else.
fn is_list(list: &[u8]) -> bool {
    list.split(|&byte| byte == b',').all(|name| is_name(name.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(lines: &[&str]) -> Cors {
        Cors::parse(lines.iter().copied()).unwrap()
    }

    fn fields(pairs: &[(&str, &str)]) -> (Vec<HeaderSpan>, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut add = |text: &str| {
            let start = bytes.len();
            bytes.extend_from_slice(text.as_bytes());
            Span::new(start, bytes.len())
        };
        let spans =
            pairs.iter().map(|(name, value)| HeaderSpan { name: add(name), value: add(value) });
        let spans = spans.collect();
        (spans, bytes)
    }

    #[test]
    fn origins() {
        let named =
            cors(&["origin https://a.example", "origin null", r"pattern https://\w+\.b\.c"]);
        for (origin, is_allowed) in [
            ("https://a.example", true),
            ("null", true),
            ("https://x.b.c", true),
            ("http://a.example", false),
            ("https://a.example.evil", false),
            ("https://x.b.c.evil", false),
            ("https://evil/https://x.b.c", false),
            ("https://x.b.c\n", false),
            ("", false),
        ] {
            assert_eq!(named.allows(origin.as_bytes()), is_allowed, "{origin}");
        }
        assert!(!named.allows(b"\xff"));
        assert!(cors(&["origin *"]).allows(b"anything"));
        assert!(Cors::parse(["pattern ("].into_iter()).is_err());
        assert_eq!(Cors::parse(["colour red"].into_iter()).unwrap_err(), "colour red");
    }

    #[test]
    fn who_is_named() {
        let (table, bytes) = fields(&[("ORIGIN", "https://a")]);
        let granted = |lines: &[&str]| {
            let span = cors(lines).granted(&table, &bytes);
            str::from_utf8(span.of(&bytes)).unwrap().to_owned()
        };
        assert_eq!(granted(&["origin *"]), "");
        assert_eq!(granted(&["origin *", "credentials"]), "https://a");
        assert_eq!(granted(&["origin https://a"]), "https://a");
        assert_eq!(granted(&["origin https://b"]), "");
        // Two of them are none.
        let (table, bytes) = fields(&[("Origin", "https://a"), ("Origin", "https://a")]);
        assert!(cors(&["origin https://a"]).granted(&table, &bytes).of(&bytes).is_empty());
    }

    #[test]
    fn preflights() {
        let ask = [
            ("Origin", "https://a"),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Headers", "x-a, x-b"),
            ("Access-Control-Request-Private-Network", "true"),
        ];
        let (table, bytes) = fields(&ask);
        assert!(Cors::is_preflight(Method::Options, &table, &bytes));
        assert!(!Cors::is_preflight(Method::Get, &table, &bytes));
        assert!(!Cors::is_preflight(Method::Options, &table[..1], &bytes));
        assert!(!Cors::is_preflight(Method::Options, &table[1..], &bytes));
        let answer = |lines: &[&str]| {
            let cors = cors(lines);
            let (status, fields) = cors.preflight(&table, &bytes);
            let line = |(name, value): &Field| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                format!("{}: {}", text(name), text(value))
            };
            (status, fields[1..].iter().map(line).collect::<Vec<_>>())
        };
        assert_eq!(answer(&["origin https://b"]), (403, vec![]));
        assert_eq!(
            answer(&["origin https://a", "methods GET, PUT", "max_age 60", "private_network"]),
            (
                204,
                vec![
                    "Access-Control-Allow-Methods: GET, PUT".to_owned(),
                    "Access-Control-Allow-Headers: x-a, x-b".to_owned(),
                    "Access-Control-Max-Age: 60".to_owned(),
                    "Access-Control-Allow-Private-Network: true".to_owned(),
                ]
            )
        );
        let (_, named) = answer(&["origin *", "methods GET", "headers X-C"]);
        assert_eq!(named[1], "Access-Control-Allow-Headers: X-C");
    }

    #[test]
    fn what_is_no_list_of_names_is_not_sent_back() {
        for (list, is_one) in
            [("a", true), ("a, b-c", true), ("a,,b", false), ("a b", false), ("", false)]
        {
            assert_eq!(is_list(list.as_bytes()), is_one, "{list}");
        }
    }
}
