//! What an app says of compression: from which size on, which types, which codings.

use crate::files::coding::{Coding, Liked};
use crate::h1::serialize::BodyKind;
use crate::header::HeaderSpan;

/// Which answers are compressed.
#[derive(Clone, Debug)]
pub struct Compression {
    /// A body that is shorter stays as it is.
    pub minimum: usize,
    /// What clients have compressed is decoded.
    pub decodes: bool,
    /// Media types in lower case, each with at most one `*` for anything.
    types: Vec<String>,
    /// Whether the types that are not named by a handler are among them, by [`BodyKind`].
    kinds: [bool; 4],
    /// In the order in which they are taken by a client who likes them equally.
    codings: Vec<Coding>,
    levels: [u8; Coding::ALL.len()],
}

/// What is an event stream is one of the types only by its whole name.
const EVENT_STREAM: &str = "text/event-stream";

impl Compression {
    /// What these lines say: each is a name and, behind a space, its value.
    ///
    /// # Errors
    /// The line that says nothing that is known.
    pub fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut terms = Self {
            minimum: 0,
            decodes: false,
            types: Vec::new(),
            kinds: [false; 4],
            codings: Vec::new(),
            levels: [0; Coding::ALL.len()],
        };
        for line in lines {
            let wrong = || line.to_owned();
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match name {
                "minimum" => terms.minimum = value.parse().map_err(|_| wrong())?,
                "decode" => terms.decodes = true,
                "type" => terms.types.push(value.to_ascii_lowercase()),
                "coding" => {
                    let (token, level) = value.split_once(' ').ok_or_else(wrong)?;
                    let coding = Coding::of_token(token.as_bytes()).ok_or_else(wrong)?;
                    terms.codings.push(coding);
                    terms.levels[coding.index()] = level.parse().map_err(|_| wrong())?;
                }
                _ => return Err(wrong()),
            }
        }
        terms.kinds = [BodyKind::Text, BodyKind::Json, BodyKind::Bytes, BodyKind::Html]
            .map(|kind| terms.takes_type(kind.content_type().as_bytes()));
        Ok(terms)
    }

    /// How hard it is tried.
    #[must_use]
    pub fn level(&self, coding: Coding) -> u8 {
        self.levels[coding.index()]
    }

    /// The coding for a client, and whether it takes nothing that is not encoded.
    pub(super) fn choose(&self, fields: &[HeaderSpan], bytes: &[u8]) -> (Option<Coding>, bool) {
        let liked = Liked::of(fields, bytes);
        (liked.best(self.codings.iter().copied()), liked.refuses_identity())
    }

    pub(super) fn takes_kind(&self, kind: BodyKind) -> bool {
        self.kinds[kind as usize]
    }

    /// Whether content of this type is compressed; `given` is a value of `Content-Type`.
    #[must_use]
    pub fn takes_type(&self, given: &[u8]) -> bool {
        let end = given.iter().position(|&byte| byte == b';').unwrap_or(given.len());
        let media_type = given[..end].trim_ascii();
        if media_type.eq_ignore_ascii_case(EVENT_STREAM.as_bytes()) {
            return self.types.iter().any(|pattern| pattern == EVENT_STREAM);
        }
        self.types.iter().any(|pattern| fits(media_type, pattern.as_bytes()))
    }
}

fn fits(media_type: &[u8], pattern: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|&byte| byte == b'*') else {
        return media_type.eq_ignore_ascii_case(pattern);
    };
    let (start, end) = (&pattern[..star], &pattern[star + 1..]);
    media_type.len() >= start.len() + end.len()
        && media_type[..start.len()].eq_ignore_ascii_case(start)
        && media_type[media_type.len() - end.len()..].eq_ignore_ascii_case(end)
}
