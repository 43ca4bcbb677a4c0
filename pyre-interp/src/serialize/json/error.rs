//! What is wrong with a JSON text, and where: the messages of `json.JSONDecodeError`.

use std::fmt;

use super::{DEPTH_MAX, number::INT_DIGITS_MAX};

/// Why a text is not JSON that we take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// No value where one has to be.
    Value,
    /// No name in an object.
    Name,
    /// No `:` behind a name.
    Colon,
    /// Neither `,` nor the closing bracket.
    Comma,
    /// A `,` before `}`.
    TrailingCommaInObject,
    /// A `,` before `]`.
    TrailingCommaInArray,
    /// A string that does not end.
    Unterminated,
    /// A control character in a string.
    Control,
    /// An unknown escape.
    Escape,
    /// A `\u` without four hexadecimal digits.
    UnicodeEscape,
    /// More text behind the value.
    ExtraData,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Arrays and objects nested deeper than `DEPTH_MAX`.
    TooDeep,
    /// An integer with more digits than Python converts.
    IntTooLong,
    /// A number too large for a float.
    Infinite,
}

/// A malformed text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// What is wrong.
    pub reason: Reason,
    /// The byte it is wrong at.
    pub offset: usize,
}

/// A place in a text as editors count: from 1, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Character, from 0.
    pub character: usize,
}

impl DecodeError {
    /// The message, in the words of the standard library: `Expecting value: line 1 column 1 (char 0)`.
    ///
    /// `text` is what was decoded.
    #[cold]
    pub fn message(&self, text: &[u8]) -> String {
        let Position { line, column, character } = self.position(text);
        format!("{}: line {line} column {column} (char {character})", self.reason)
    }

    /// Where `text`, which was decoded, is wrong.
    #[cold]
    pub fn position(&self, text: &[u8]) -> Position {
        let before = text.get(..self.offset).unwrap_or(text);
        let before = before.strip_prefix(super::BOM).unwrap_or(before);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Position {
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            column: 1 + count_characters(&before[line_start..]),
            character: count_characters(before),
        }
    }
}

/// Characters begin with a byte that does not continue one.
fn count_characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Value => "Expecting value",
            Reason::Name => "Expecting property name enclosed in double quotes",
            Reason::Colon => "Expecting ':' delimiter",
            Reason::Comma => "Expecting ',' delimiter",
            Reason::TrailingCommaInObject => "Illegal trailing comma before end of object",
            Reason::TrailingCommaInArray => "Illegal trailing comma before end of array",
            Reason::Unterminated => "Unterminated string starting at",
            Reason::Control => "Invalid control character at",
            Reason::Escape => "Invalid \\escape",
            Reason::UnicodeEscape => "Invalid \\uXXXX escape",
            Reason::ExtraData => "Extra data",
            Reason::NotUtf8 => "Invalid UTF-8",
            Reason::TooDeep => return write!(f, "Nested deeper than {DEPTH_MAX} levels"),
            Reason::IntTooLong => {
                return write!(f, "Integer of more than {INT_DIGITS_MAX} digits");
            }
            Reason::Infinite => "Number out of range",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, offset: usize, expected: &str) {
        let error = DecodeError { reason: Reason::Value, offset };
        assert_eq!(error.message(text.as_bytes()), format!("Expecting value: {expected}"));
    }

    #[test]
    fn positions_count_characters() {
        check("", 0, "line 1 column 1 (char 0)");
        check("[1,\n2,\n x]", 8, "line 3 column 2 (char 8)");
        check("[\"äöü\", x]", 11, "line 1 column 9 (char 8)");
        check("\u{feff}x", 3, "line 1 column 1 (char 0)");
        check("[\n", 2, "line 2 column 1 (char 2)");
        check("[", 9, "line 1 column 2 (char 1)");
    }
}
