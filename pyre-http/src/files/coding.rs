//! Which codings a client takes (RFC 9110 section 12.5.3): of the encoded siblings of a file, or of those in
//! which an answer may be compressed.

use crate::header::HeaderSpan;

/// A coding of content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// `.br`.
    Brotli,
    /// `.zst`.
    Zstandard,
    /// `.gz`.
    Gzip,
}

impl Coding {
    /// All of them, the best first; of several that a client likes equally the first one is taken.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstandard, Self::Gzip];

    /// What ends the name of the sibling.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstandard => ".zst",
            Self::Gzip => ".gz",
        }
    }

    /// Its name in `Content-Encoding`.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The coding of this name, in any case.
    #[must_use]
    pub fn of_token(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| {
            name.eq_ignore_ascii_case(coding.token().as_bytes())
                // RFC 9110 section 8.4.1.3.
                || *coding == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip")
        })
    }

    /// Its place in tables of codings.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How much a client likes a coding, in thousandths.
type Quality = u16;

/// What the fields of a request say of codings.
#[derive(Clone, Copy, Default, Debug)]
pub struct Liked {
    codings: [Option<Quality>; Coding::ALL.len()],
    identity: Option<Quality>,
    others: Option<Quality>,
}

impl Liked {
    /// What these fields say.
    #[must_use]
    pub fn of(fields: &[HeaderSpan], bytes: &[u8]) -> Self {
        let mut liked = Self::default();
        for field in fields {
            if field.name.of(bytes).eq_ignore_ascii_case(b"accept-encoding") {
                note(&mut liked, field.value.of(bytes));
            }
        }
        liked
    }

    /// The coding that the client likes best of these, the first of several that it likes equally; none if
    /// it takes none of them, or likes what is not encoded better.
    #[must_use]
    pub fn best(&self, order: impl IntoIterator<Item = Coding>) -> Option<Coding> {
        let mut best: Option<(Coding, Quality)> = None;
        for coding in order {
            let quality = self.codings[coding.index()].or(self.others).unwrap_or(0);
            if quality > 0 && best.is_none_or(|(_, best)| quality > best) {
                best = Some((coding, quality));
            }
        }
        // One that says nothing of it takes content as it is, and rather has less to read.
        let identity = self.identity.unwrap_or(0);
        best.filter(|&(_, quality)| quality >= identity).map(|(coding, _)| coding)
    }

    /// Whether the client says that it does not take what is not encoded.
    #[must_use]
    pub fn refuses_identity(&self) -> bool {
        self.identity.or(self.others) == Some(0)
    }
}

/// The coding that goes to this client of those that are `there`; none for the file itself, which also
/// goes to a client that takes none of them and not that one either (section 12.4.1 allows it).
#[must_use]
pub fn choose(
    fields: &[HeaderSpan],
    bytes: &[u8],
    there: [bool; Coding::ALL.len()],
) -> Option<Coding> {
    let there = Coding::ALL.into_iter().filter(|coding| there[coding.index()]);
    Liked::of(fields, bytes).best(there)
}

fn note(liked: &mut Liked, value: &[u8]) {
    for element in value.split(|&byte| byte == b',') {
        let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let Some(quality) = quality(parts) else { continue };
        let place = match Coding::of_token(name) {
            Some(coding) => &mut liked.codings[coding.index()],
            None if name.eq_ignore_ascii_case(b"identity") => &mut liked.identity,
            None if name == b"*" => &mut liked.others,
            None => continue,
        };
        *place = Some(quality);
    }
}

/// The weight among the parameters of an element, 1 if there is none; nothing if it cannot be read.
fn quality<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Option<Quality> {
    for parameter in parameters {
        let ([b'q' | b'Q'], [b'=', weight @ ..]) = parameter.split_at_checked(1)? else { continue };
        // RFC 9110 section 12.4.2: at most three digits behind the point.
        let (whole, digits) = match weight {
            [whole @ (b'0' | b'1')] => (whole, &b""[..]),
            [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
            _ => return None,
        };
        let mut thousandths = Quality::from(whole - b'0') * 1_000;
        let mut unit = 100;
        for digit in digits {
            thousandths += Quality::from(char::from(*digit).to_digit(10)? as u16) * unit;
            unit /= 10;
        }
        return (thousandths <= 1_000).then_some(thousandths);
    }
    Some(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    const ALL: [bool; 3] = [true; 3];

    fn check(value: &str, there: [bool; 3], expected: &str) {
        let bytes = [b"Accept-Encoding", value.as_bytes()].concat();
        let field = HeaderSpan { name: Span::new(0, 15), value: Span::new(15, bytes.len()) };
        let chosen = choose(&[field], &bytes, there);
        assert_eq!(chosen.map_or("", Coding::token), expected, "{value:?} {there:?}");
    }

    #[test]
    fn weights() {
        for (value, expected) in [
            ("", ""),
            ("gzip", "gzip"),
            ("x-gzip", "gzip"),
            ("GZIP", "gzip"),
            ("gzip, deflate, br, zstd", "br"),
            ("gzip, zstd", "zstd"),
            ("gzip;q=1, br;q=0.9", "gzip"),
            ("gzip;q=0.5", "gzip"),
            ("gzip;q=0.5, identity", ""),
            ("gzip;q=0.5, identity;q=0.5", "gzip"),
            ("identity;q=0", ""),
            ("*", "br"),
            ("*;q=0", ""),
            ("gzip, *;q=0", "gzip"),
            ("br;q=0, *", "zstd"),
            ("br;q=0.001", "br"),
            ("br;q=0.000", ""),
            ("br ; q=0.3 , gzip ; Q=0.4", "gzip"),
            ("br;q=2", ""),
            ("br;q=0.1234", ""),
            ("br;q=1.001", ""),
            ("br;q=", ""),
            ("br;q=a", ""),
            ("br;level=4;q=0.5", "br"),
            ("br;", ""),
            (",, ,gzip,", "gzip"),
            ("deflate, compress", ""),
            ("brotli", ""),
        ] {
            check(value, ALL, expected);
        }
    }

    #[test]
    fn only_what_is_there() {
        check("gzip, br", [false, false, true], "gzip");
        check("gzip;q=0.1, br", [false, true, true], "gzip");
        check("*", [false; 3], "");
        check("br", [false, true, true], "");
    }

    #[test]
    fn whether_something_has_to_be_encoded() {
        for (value, refuses) in [
            ("", false),
            ("gzip", false),
            ("identity;q=0", true),
            ("*;q=0", true),
            ("gzip, *;q=0", true),
            ("*;q=0, identity;q=0.1", false),
            ("identity;q=0.001", false),
        ] {
            let bytes = [b"Accept-Encoding", value.as_bytes()].concat();
            let field = HeaderSpan { name: Span::new(0, 15), value: Span::new(15, bytes.len()) };
            assert_eq!(Liked::of(&[field], &bytes).refuses_identity(), refuses, "{value:?}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        let bytes = b"accept-encodinggzip;q=0.2br";
        let name = Span::new(0, 15);
        let fields = [(15, 25), (25, 27)]
            .map(|(start, end)| HeaderSpan { name, value: Span::new(start, end) });
        assert_eq!(choose(&fields, bytes, ALL), Some(Coding::Brotli));
        assert_eq!(choose(&[], bytes, ALL), None);
    }
}
