//! `/users/{id:int}`, parsed and checked.
//!
//! A pattern is a list of segments. A segment is static text, or holds one parameter, which may have
//! static text around it (`/report-{year:int}.txt`). `{rest:path}` and `{*rest}` take what is left
//! of the path and so stand last: the first wants at least one byte, the second also takes none, but
//! not a missing slash (`/files/{*rest}` matches `/files/`, not `/files`).
//!
//! Two patterns that differ only in parameter names, or in the spelling of static text, are equal.

use std::fmt;

use super::converter::Converter;
use super::spelling::{Decoded, ENCODED_SLASH};

/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 4096;

/// Segments of a pattern; also bounds how deep a look-up recurses.
const SEGMENTS_MAX: usize = 64;

/// A parsed pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    pub(super) segments: Vec<Segment>,
    parameters: Vec<Parameter>,
}

/// One piece of a pattern between slashes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Segment {
    /// Decoded text. A path that ends with a slash has an empty last segment.
    Static(Box<[u8]>),
    /// A parameter within the segment.
    Parameter(Shape),
    /// A parameter that takes the rest: `Converter::Path` or `Converter::Rest`.
    Rest(Converter),
}

/// What a segment with a parameter accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) prefix: Box<[u8]>,
    pub(super) suffix: Box<[u8]>,
    pub(super) converter: Converter,
}

/// A parameter of a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// The name the handler asks for; unique within its pattern.
    pub name: Box<str>,
    /// What it accepts.
    pub converter: Converter,
}

/// Why a pattern is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatternError {
    pattern: Box<str>,
    reason: Reason,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Reason {
    NoSlash,
    TooLong,
    TooManySegments,
    Forbidden(char),
    FlaskStyle,
    EncodedSlash,
    TwiceEncoded,
    NotUtf8,
    UnclosedBrace,
    StrayBrace,
    BadName(Box<str>),
    UnknownConverter(Box<str>),
    ConverterOfRest,
    SameName(Box<str>),
    TwoInSegment,
    RestNotAlone(Box<str>),
    RestNotLast(Box<str>),
}

impl Pattern {
    /// Parses `text`.
    ///
    /// # Errors
    /// Says in a sentence what is wrong and what to write.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        parse(text).map_err(|reason| PatternError { pattern: text.into(), reason })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parameters from left to right: the order in which a look-up reports their spans.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The decoded path, if the pattern has no parameters.
    pub(super) fn exact(&self) -> Option<Box<[u8]>> {
        let mut path = Vec::new();
        for segment in &self.segments {
            let Segment::Static(text) = segment else { return None };
            path.push(b'/');
            path.extend_from_slice(text);
        }
        Some(path.into())
    }
}

fn parse(text: &str) -> Result<Pattern, Reason> {
    let Some(inner) = text.strip_prefix('/') else { return Err(Reason::NoSlash) };
    if text.len() > PATTERN_BYTES_MAX {
        return Err(Reason::TooLong);
    }
    let mut parameters = Vec::new();
    let mut segments = Vec::new();
    for piece in inner.split('/') {
        if let Some(Segment::Rest(_)) = segments.last() {
            return Err(Reason::RestNotLast(last_name(&parameters)));
        }
        segments.push(segment(piece, &mut parameters)?);
    }
    if segments.len() > SEGMENTS_MAX {
        return Err(Reason::TooManySegments);
    }
    Ok(Pattern { text: text.into(), segments, parameters })
}

fn segment(piece: &str, parameters: &mut Vec<Parameter>) -> Result<Segment, Reason> {
    let Some(open) = piece.find('{') else { return Ok(Segment::Static(static_text(piece)?)) };
    let (prefix, rest) = (&piece[..open], &piece[open + 1..]);
    let Some(close) = rest.find('}') else { return Err(Reason::UnclosedBrace) };
    let (inside, suffix) = (&rest[..close], &rest[close + 1..]);
    if suffix.contains('{') {
        return Err(Reason::TwoInSegment);
    }
    let parameter = parameter(inside)?;
    if parameters.iter().any(|earlier| earlier.name == parameter.name) {
        return Err(Reason::SameName(parameter.name));
    }
    let converter = parameter.converter;
    parameters.push(parameter);
    if !converter.takes_rest() {
        let (prefix, suffix) = (static_text(prefix)?, static_text(suffix)?);
        return Ok(Segment::Parameter(Shape { prefix, suffix, converter }));
    }
    if !prefix.is_empty() || !suffix.is_empty() {
        return Err(Reason::RestNotAlone(last_name(parameters)));
    }
    Ok(Segment::Rest(converter))
}

/// What stands between the braces.
fn parameter(inside: &str) -> Result<Parameter, Reason> {
    let (name, converter) = match (inside.strip_prefix('*'), inside.split_once(':')) {
        (Some(_), Some(_)) => return Err(Reason::ConverterOfRest),
        (Some(name), None) => (name, Converter::Rest),
        (None, None) => (inside, Converter::Str),
        (None, Some((name, converter))) => {
            let known = Converter::named(converter);
            (name, known.ok_or_else(|| Reason::UnknownConverter(converter.into()))?)
        }
    };
    let starts_well = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    if !starts_well || !name.chars().all(|each| each.is_alphanumeric() || each == '_') {
        return Err(Reason::BadName(name.into()));
    }
    Ok(Parameter { name: name.into(), converter })
}

fn static_text(text: &str) -> Result<Box<[u8]>, Reason> {
    for each in text.chars() {
        match each {
            '}' => return Err(Reason::StrayBrace),
            '<' | '>' => return Err(Reason::FlaskStyle),
            '?' | '#' => return Err(Reason::Forbidden(each)),
            _ if each.is_control() => return Err(Reason::Forbidden(each)),
            _ => {}
        }
    }
    let decoded: Box<[u8]> = Decoded::of(text.as_bytes()).collect();
    if text.to_ascii_lowercase().contains("%2f") && decoded.contains(&ENCODED_SLASH) {
        return Err(Reason::EncodedSlash);
    }
    // Such text would be equal to the path `/%41`, which means `/A`.
    if Decoded::of(&decoded).count() < decoded.len() {
        return Err(Reason::TwiceEncoded);
    }
    match std::str::from_utf8(&decoded) {
        Ok(_) => Ok(decoded),
        Err(_) => Err(Reason::NotUtf8),
    }
}

fn last_name(parameters: &[Parameter]) -> Box<str> {
    parameters.last().map_or_else(Box::default, |parameter| parameter.name.clone())
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the path {:?} ", self.pattern)?;
        match &self.reason {
            Reason::NoSlash => f.write_str("must begin with \"/\""),
            Reason::TooLong => write!(f, "is longer than {PATTERN_BYTES_MAX} bytes"),
            Reason::TooManySegments => write!(f, "has more than {SEGMENTS_MAX} segments"),
            Reason::Forbidden(each @ ('?' | '#')) => {
                write!(f, "contains {each:?}, which ends a path; read the query from the request")
            }
            Reason::Forbidden(each) => write!(f, "contains the control character {each:?}"),
            Reason::FlaskStyle => {
                f.write_str("contains \"<\" or \">\"; write a parameter as {name} or {name:int}")
            }
            Reason::EncodedSlash => {
                f.write_str("contains an encoded slash, which only a parameter can match")
            }
            Reason::TwiceEncoded => {
                f.write_str("is encoded twice; write the text itself, or encode it once")
            }
            Reason::NotUtf8 => f.write_str("decodes to bytes that are not UTF-8"),
            Reason::UnclosedBrace => {
                f.write_str("has a \"{\" without \"}\" in the same segment; write %7B for a brace")
            }
            Reason::StrayBrace => f.write_str("has a \"}\" without \"{\"; write %7D for a brace"),
            Reason::BadName(name) => {
                write!(f, "has a parameter named {name:?}, which is not a Python identifier")
            }
            Reason::UnknownConverter(name) => write!(
                f,
                "uses the unknown converter {name:?}; there are int, float, uuid, str and path"
            ),
            Reason::ConverterOfRest => {
                f.write_str("gives a converter to a catch-all, which is always text")
            }
            Reason::SameName(name) => write!(f, "uses the parameter name {name:?} twice"),
            Reason::TwoInSegment => {
                f.write_str("has two parameters in one segment; put a \"/\" between them")
            }
            Reason::RestNotAlone(name) => write!(
                f,
                "has text beside {name:?} in its segment, but that parameter takes the rest of \
                 the path"
            ),
            Reason::RestNotLast(name) => {
                write!(f, "goes on behind {name:?}, but that parameter takes the rest of the path")
            }
        }
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, Converter)]) {
        let pattern = Pattern::parse(text).unwrap();
        let parameters: Vec<_> =
            pattern.parameters().iter().map(|each| (&*each.name, each.converter)).collect();
        assert_eq!(parameters, expected, "{text}");
        assert_eq!(pattern.text(), text);
    }

    fn check_refused(text: &str, expected: &str) {
        let error = Pattern::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains(&format!("{text:?}")), "{text}: {error}");
    }

    #[test]
    fn parameters_and_their_converters() {
        check("/", &[]);
        check("/a//b/", &[]);
        check("/users/{id}", &[("id", Converter::Str)]);
        check("/users/{id:int}/x/{y:float}", &[("id", Converter::Int), ("y", Converter::Float)]);
        check("/{u:uuid}/{s:str}", &[("u", Converter::Uuid), ("s", Converter::Str)]);
        check("/files/{name:path}", &[("name", Converter::Path)]);
        check("/files/{*rest}", &[("rest", Converter::Rest)]);
        check("/report-{year:int}.txt", &[("year", Converter::Int)]);
        check("/{größe}", &[("größe", Converter::Str)]);
    }

    #[test]
    fn static_text_is_kept_decoded() {
        let exact = |text| Pattern::parse(text).unwrap().exact();
        assert_eq!(exact("/caf%C3%a9/%7Ba%7d"), Some("/café/{a}".as_bytes().into()));
        assert_eq!(exact("/100%"), Some((*b"/100%").into()));
        assert_eq!(exact("/a/{b}"), None);
    }

    #[test]
    fn errors_say_what_to_write() {
        check_refused("", "must begin with \"/\"");
        check_refused("users", "must begin with \"/\"");
        check_refused("/a?b", "read the query from the request");
        check_refused("/a\n", "control character");
        check_refused("/<int:id>", "{name:int}");
        check_refused("/a%2Fb", "encoded slash");
        check_refused("/%2541", "encoded twice");
        check_refused("/%ff", "not UTF-8");
        check_refused("/{a", "without \"}\"");
        check_refused("/{a/b}", "without \"}\"");
        check_refused("/a}", "without \"{\"");
        check_refused("/{}", "not a Python identifier");
        check_refused("/{1a}", "not a Python identifier");
        check_refused("/{a-b}", "not a Python identifier");
        check_refused("/{*}", "not a Python identifier");
        check_refused("/{a:bool}", "unknown converter \"bool\"");
        check_refused("/{*a:int}", "always text");
        check_refused("/{a}/{a}", "\"a\" twice");
        check_refused("/{a}-{b}", "two parameters in one segment");
        check_refused("/x{a:path}", "text beside \"a\"");
        check_refused("/{*a}.txt", "text beside \"a\"");
        check_refused("/{*a}/b", "goes on behind \"a\"");
        check_refused(&"/a".repeat(65), "more than 64 segments");
        check_refused(&format!("/{}", "a".repeat(4096)), "longer than 4096 bytes");
    }
}
