//! Arrays, objects and what is in them.
//! Hot path.
//!
//! Values and names wait on a stack of our own until their array or object ends, so that lists and
//! dicts are made in their final size, and no container is seen half filled. Nothing in here runs
//! Python code: there are only built-in types, and names are strings.

use pyre_ffi::{Any, Attached, Bool, Dict, Float, Int, List, Owned, Raised, Str, none};

use super::error::{DecodeError, Reason};
use super::keys::KeyCache;
use super::number::{self, Number, NumberError};
use super::scan::{plain, plain_ascii, plain_ascii_word};
use super::unescape::{Alphabet, unescape};
use super::{BOM, DEPTH_MAX};

/// Names and values that wait without the stack growing.
const STACK_CAPACITY: usize = 32;

/// Bytes of scratch that are kept from text to text.
const SCRATCH_BYTES_KEPT: usize = 64 * 1024;

/// Why there is no value.
#[derive(Debug)]
pub enum DecodeFailure {
    /// The text is malformed: the peer's fault, mostly.
    Malformed(DecodeError),
    /// Python raised, as it does when memory runs out.
    Raised(Raised),
}

/// Turns JSON into the objects that `json.loads` makes of it; see the module for the differences.
///
/// # Errors
/// `Malformed` with reason and place, or `Raised`.
pub fn decode<'py>(
    py: Attached<'py>,
    text: &[u8],
    keys: &mut KeyCache,
) -> Result<Owned<'py>, DecodeFailure> {
    let start = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let waiting = Vec::with_capacity(STACK_CAPACITY);
    let mut decoder = Decoder { py, text, keys, waiting, depth: 0, is_utf8: false, failure: None };
    let value = decoder.whole_text(start);
    let failure = decoder.failure.take();
    drop(decoder);
    if keys.scratch.capacity() > SCRATCH_BYTES_KEPT {
        keys.scratch = Vec::new();
    }
    value.map_err(|Stopped| failure.expect("whoever stops says why"))
}

/// Decoding stopped; why stands in `Decoder::failure`.
struct Stopped;

/// What was read, and where the text goes on. Travels in two registers.
type Read<'py, T> = Result<(Owned<'py, T>, usize), Stopped>;

/// A byte outside of strings that is not blank, and where it is; 0, which begins nothing, at the
/// end of the text.
#[derive(Clone, Copy)]
struct Token {
    byte: u8,
    at: usize,
}

struct Decoder<'a, 'py> {
    py: Attached<'py>,
    text: &'a [u8],
    keys: &'a mut KeyCache,
    /// Names and values of the arrays and objects that have not ended.
    waiting: Vec<Owned<'py>>,
    /// How many of those there are.
    depth: usize,
    /// Whether all of `text` is known to be UTF-8; checked when the first other byte turns up.
    is_utf8: bool,
    failure: Option<DecodeFailure>,
}

impl<'py> Decoder<'_, 'py> {
    fn whole_text(&mut self, start: usize) -> Result<Owned<'py>, Stopped> {
        let (value, end) = self.value(self.token(start))?;
        let behind = self.token(end);
        if behind.at < self.text.len() {
            return self.malformed(Reason::ExtraData, behind.at);
        }
        Ok(value)
    }

    /// The value that begins with `first`. Only containers cost a call.
    #[inline(always)]
    fn value(&mut self, first: Token) -> Read<'py, Any> {
        let at = first.at;
        match first.byte {
            b'"' => self.string(at),
            b'{' => self.nested(at, Self::object),
            b'[' => self.nested(at, Self::array),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.literal(at, b"true", |py| Bool::new(py, true).into_any()),
            b'f' => self.literal(at, b"false", |py| Bool::new(py, false).into_any()),
            b'n' => self.literal(at, b"null", none),
            _ => self.malformed(Reason::Value, at),
        }
    }

    /// Runs `read` on what follows the opening bracket at `at`, one level deeper.
    #[inline(always)]
    fn nested(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Self, Token) -> Read<'py, Any>,
    ) -> Read<'py, Any> {
        if self.depth == DEPTH_MAX {
            return self.malformed(Reason::TooDeep, at);
        }
        self.depth += 1;
        let read = read(self, self.token(at + 1))?;
        self.depth -= 1;
        Ok(read)
    }

    /// The rest of an array, from its first item or its end on.
    #[inline(never)]
    fn array(&mut self, mut token: Token) -> Read<'py, Any> {
        let start = self.waiting.len();
        if token.byte != b']' {
            loop {
                let (value, end) = self.value(token)?;
                self.waiting.push(value);
                token = self.token(end);
                if token.byte == b']' {
                    break;
                }
                token = self.behind_comma(token, b']', Reason::TrailingCommaInArray)?;
            }
        }
        let list = List::from_tail(self.py, &mut self.waiting, start);
        self.made(list.map(Owned::into_any), token.at + 1)
    }

    /// The rest of an object, from its first name or its end on.
    #[inline(never)]
    fn object(&mut self, mut token: Token) -> Read<'py, Any> {
        let start = self.waiting.len();
        if token.byte != b'}' {
            loop {
                if token.byte != b'"' {
                    return self.malformed(Reason::Name, token.at);
                }
                let (name, end) = self.name(token.at)?;
                self.waiting.push(name);
                let colon = self.token(end);
                if colon.byte != b':' {
                    return self.malformed(Reason::Colon, colon.at);
                }
                let (value, end) = self.value(self.token(colon.at + 1))?;
                self.waiting.push(value);
                token = self.token(end);
                if token.byte == b'}' {
                    break;
                }
                token = self.behind_comma(token, b'}', Reason::TrailingCommaInObject)?;
            }
        }
        let dict = Dict::from_tail(self.py, &mut self.waiting, start);
        self.made(dict.map(Owned::into_any), token.at + 1)
    }

    /// What follows a comma, where no bracket may close.
    #[inline(always)]
    fn behind_comma(
        &mut self,
        comma: Token,
        closing: u8,
        trailing: Reason,
    ) -> Result<Token, Stopped> {
        if comma.byte != b',' {
            return self.malformed(Reason::Comma, comma.at);
        }
        let next = self.token(comma.at + 1);
        if next.byte == closing {
            return self.malformed(trailing, comma.at);
        }
        Ok(next)
    }

    /// The name whose quote is at `at`.
    #[inline(always)]
    fn name(&mut self, at: usize) -> Read<'py, Any> {
        let rest = &self.text[at + 1..];
        let (word, run) = match plain_ascii_word(rest) {
            Some((word, run)) => (Some(word), run),
            None => (None, plain_ascii(rest)),
        };
        if rest.get(run) != Some(&b'"') {
            return self.difficult_string(at);
        }
        let name = match word {
            Some(word) => self.keys.short_name(self.py, &rest[..run], word),
            None => self.keys.name(self.py, &rest[..run]),
        };
        self.made(name.map(Owned::into_any), at + run + 2)
    }

    /// The string whose quote is at `at`.
    #[inline]
    fn string(&mut self, at: usize) -> Read<'py, Any> {
        let rest = &self.text[at + 1..];
        let run = plain_ascii(rest);
        if rest.get(run) != Some(&b'"') {
            return self.difficult_string(at);
        }
        let string = Str::latin1(self.py, &rest[..run]);
        self.made(string.map(Owned::into_any), at + run + 2)
    }

    /// A string with escapes or beyond ASCII, or one that is malformed.
    #[inline(never)]
    fn difficult_string(&mut self, at: usize) -> Read<'py, Any> {
        self.check_utf8()?;
        let start = at + 1;
        let rest = &self.text[start..];
        let run = plain(rest);
        if rest.get(run) == Some(&b'"') {
            let string = Str::utf8(self.py, &rest[..run]);
            return self.made(string.map(Owned::into_any), start + run + 1);
        }
        let scratch = &mut self.keys.scratch;
        scratch.clear();
        match unescape(self.text, start, scratch) {
            Ok((alphabet, end)) => {
                let string = match alphabet {
                    Alphabet::Ascii => Str::latin1(self.py, scratch),
                    Alphabet::Unicode => Str::utf8(self.py, scratch),
                    Alphabet::Surrogates => Str::wtf8(self.py, scratch),
                };
                self.made(string.map(Owned::into_any), end)
            }
            Err((reason, offset)) => self.malformed(reason, offset),
        }
    }

    fn check_utf8(&mut self) -> Result<(), Stopped> {
        if !self.is_utf8 {
            if let Err(error) = str::from_utf8(self.text) {
                return self.malformed(Reason::NotUtf8, error.valid_up_to());
            }
            self.is_utf8 = true;
        }
        Ok(())
    }

    fn number(&mut self, at: usize) -> Read<'py, Any> {
        let (number, length) = match number::read(&self.text[at..]) {
            Ok(read) => read,
            Err(error) => {
                let reason = match error {
                    NumberError::NoDigits => Reason::Value,
                    NumberError::TooLong => Reason::IntTooLong,
                    NumberError::Infinite => Reason::Infinite,
                };
                return self.malformed(reason, at);
            }
        };
        let object = match number {
            Number::Small(value) => Int::new(self.py, value).map(Owned::into_any),
            Number::Big(digits) => Int::from_decimal(self.py, digits).map(Owned::into_any),
            Number::Float(value) => Float::new(self.py, value).map(Owned::into_any),
        };
        self.made(object, at + length)
    }

    #[inline(always)]
    fn literal<const N: usize>(
        &mut self,
        at: usize,
        text: &[u8; N],
        value: impl FnOnce(Attached<'py>) -> Owned<'py>,
    ) -> Read<'py, Any> {
        if self.text[at..].first_chunk::<N>() != Some(text) {
            return self.malformed(Reason::Value, at);
        }
        Ok((value(self.py), at + N))
    }

    /// The next token from `at` on, behind what is blank.
    #[inline(always)]
    fn token(&self, mut at: usize) -> Token {
        loop {
            let Some(&byte) = self.text.get(at) else { return Token { byte: 0, at } };
            // Mostly there is no blank, or one.
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Token { byte, at };
            }
            at += 1;
        }
    }

    #[inline(always)]
    fn made(&mut self, object: Result<Owned<'py>, Raised>, end: usize) -> Read<'py, Any> {
        match object {
            Ok(object) => Ok((object, end)),
            Err(raised) => self.raised(raised),
        }
    }

    #[cold]
    fn raised<T>(&mut self, raised: Raised) -> Result<T, Stopped> {
        self.failure = Some(DecodeFailure::Raised(raised));
        Err(Stopped)
    }

    #[cold]
    fn malformed<T>(&mut self, reason: Reason, offset: usize) -> Result<T, Stopped> {
        self.failure = Some(DecodeFailure::Malformed(DecodeError { reason, offset }));
        Err(Stopped)
    }
}
