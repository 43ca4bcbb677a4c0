//! Arrays, objects and what is in them.
//! Hot path.
//!
//! Values and names wait on a stack of our own until their array or object ends, so that lists and
//! dicts are made in their final size, and no container is seen half filled. Nothing in here runs
//! Python code: there are only built-in types, and names are strings.

use pyre_ffi::{Attached, Bool, Dict, Float, Int, List, Owned, Raised, Str, none};

use super::error::{DecodeError, Reason};
use super::keys::KeyCache;
use super::number::{self, Number, NumberError};
use super::scan::{plain, plain_ascii};
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
    let position = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let waiting = Vec::with_capacity(STACK_CAPACITY);
    let mut decoder =
        Decoder { py, text, position, keys, waiting, depth: 0, is_utf8: false, failure: None };
    let value = decoder.whole_text();
    let failure = decoder.failure.take();
    drop(decoder);
    if keys.scratch.capacity() > SCRATCH_BYTES_KEPT {
        keys.scratch = Vec::new();
    }
    value.map_err(|Stopped| failure.expect("whoever stops says why"))
}

/// Decoding stopped; why stands in `Decoder::failure`. Keeps results in a register.
struct Stopped;

struct Decoder<'a, 'py> {
    py: Attached<'py>,
    text: &'a [u8],
    /// The next byte to read.
    position: usize,
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
    fn whole_text(&mut self) -> Result<Owned<'py>, Stopped> {
        self.skip_space();
        let value = self.value()?;
        self.skip_space();
        if self.position < self.text.len() {
            return self.malformed(Reason::ExtraData, self.position);
        }
        Ok(value)
    }

    /// The value that begins at the position.
    fn value(&mut self) -> Result<Owned<'py>, Stopped> {
        match self.peek() {
            Some(b'"') => self.string().map(Owned::into_any),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true", |py| Bool::new(py, true).into_any()),
            Some(b'f') => self.literal(b"false", |py| Bool::new(py, false).into_any()),
            Some(b'n') => self.literal(b"null", none),
            _ => self.malformed(Reason::Value, self.position),
        }
    }

    /// Runs `read` behind an opening bracket, one level deeper.
    #[inline(always)]
    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Owned<'py>, Stopped>,
    ) -> Result<Owned<'py>, Stopped> {
        if self.depth == DEPTH_MAX {
            return self.malformed(Reason::TooDeep, self.position);
        }
        self.depth += 1;
        self.position += 1;
        self.skip_space();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Owned<'py>, Stopped> {
        let start = self.waiting.len();
        if self.peek() == Some(b']') {
            self.position += 1;
        } else {
            loop {
                let value = self.value()?;
                self.waiting.push(value);
                if self.ends(b']', Reason::TrailingCommaInArray)? {
                    break;
                }
            }
        }
        let list = List::from_tail(self.py, &mut self.waiting, start);
        self.made(list).map(Owned::into_any)
    }

    fn object(&mut self) -> Result<Owned<'py>, Stopped> {
        let start = self.waiting.len();
        if self.peek() == Some(b'}') {
            self.position += 1;
        } else {
            loop {
                let name = self.name()?;
                self.waiting.push(name.into_any());
                self.skip_space();
                if self.peek() != Some(b':') {
                    return self.malformed(Reason::Colon, self.position);
                }
                self.position += 1;
                self.skip_space();
                let value = self.value()?;
                self.waiting.push(value);
                if self.ends(b'}', Reason::TrailingCommaInObject)? {
                    break;
                }
            }
        }
        let dict = self.dict(start);
        self.made(dict).map(Owned::into_any)
    }

    /// Makes a dict of the pairs that wait from `start` on; of equal names the last one wins.
    #[inline]
    fn dict(&mut self, start: usize) -> Result<Owned<'py, Dict>, Raised> {
        let dict = Dict::with_capacity(self.py, (self.waiting.len() - start) / 2)?;
        let mut waiting = self.waiting.drain(start..);
        while let (Some(name), Some(value)) = (waiting.next(), waiting.next()) {
            dict.set(&name, &value, self.py)?;
        }
        Ok(dict)
    }

    /// Reads what stands behind a value: the closing bracket, or a comma and no bracket.
    #[inline(always)]
    fn ends(&mut self, closing: u8, trailing_comma: Reason) -> Result<bool, Stopped> {
        self.skip_space();
        let byte = self.peek();
        if byte == Some(closing) {
            self.position += 1;
            return Ok(true);
        }
        if byte != Some(b',') {
            return self.malformed(Reason::Comma, self.position);
        }
        let comma = self.position;
        self.position += 1;
        self.skip_space();
        if self.peek() == Some(closing) {
            return self.malformed(trailing_comma, comma);
        }
        Ok(false)
    }

    #[inline]
    fn name(&mut self) -> Result<Owned<'py, Str>, Stopped> {
        if self.peek() != Some(b'"') {
            return self.malformed(Reason::Name, self.position);
        }
        let rest = &self.text[self.position + 1..];
        let run = plain_ascii(rest);
        if rest.get(run) != Some(&b'"') {
            return self.difficult_string();
        }
        self.position += run + 2;
        let name = self.keys.name(self.py, &rest[..run]);
        self.made(name)
    }

    #[inline]
    fn string(&mut self) -> Result<Owned<'py, Str>, Stopped> {
        let rest = &self.text[self.position + 1..];
        let run = plain_ascii(rest);
        if rest.get(run) != Some(&b'"') {
            return self.difficult_string();
        }
        self.position += run + 2;
        let string = Str::latin1(self.py, &rest[..run]);
        self.made(string)
    }

    /// A string with escapes or beyond ASCII, or one that is malformed.
    #[inline(never)]
    fn difficult_string(&mut self) -> Result<Owned<'py, Str>, Stopped> {
        self.check_utf8()?;
        let start = self.position + 1;
        let rest = &self.text[start..];
        let run = plain(rest);
        if rest.get(run) == Some(&b'"') {
            self.position = start + run + 1;
            let string = Str::utf8(self.py, &rest[..run]);
            return self.made(string);
        }
        let scratch = &mut self.keys.scratch;
        scratch.clear();
        let string = match unescape(self.text, start, scratch) {
            Ok((alphabet, end)) => {
                self.position = end;
                match alphabet {
                    Alphabet::Ascii => Str::latin1(self.py, scratch),
                    Alphabet::Unicode => Str::utf8(self.py, scratch),
                    Alphabet::Surrogates => Str::wtf8(self.py, scratch),
                }
            }
            Err((reason, offset)) => return self.malformed(reason, offset),
        };
        self.made(string)
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

    fn number(&mut self) -> Result<Owned<'py>, Stopped> {
        let (number, length) = match number::read(&self.text[self.position..]) {
            Ok(read) => read,
            Err(error) => {
                let reason = match error {
                    NumberError::NoDigits => Reason::Value,
                    NumberError::TooLong => Reason::IntTooLong,
                    NumberError::Infinite => Reason::Infinite,
                };
                return self.malformed(reason, self.position);
            }
        };
        self.position += length;
        let object = match number {
            Number::Small(value) => Int::new(self.py, value).map(Owned::into_any),
            Number::Big(digits) => Int::from_decimal(self.py, digits).map(Owned::into_any),
            Number::Float(value) => Float::new(self.py, value).map(Owned::into_any),
        };
        self.made(object)
    }

    #[inline]
    fn literal(
        &mut self,
        text: &[u8],
        value: impl FnOnce(Attached<'py>) -> Owned<'py>,
    ) -> Result<Owned<'py>, Stopped> {
        if !self.text[self.position..].starts_with(text) {
            return self.malformed(Reason::Value, self.position);
        }
        self.position += text.len();
        Ok(value(self.py))
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        // Mostly there is none, or one blank.
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.position += 1;
        }
    }

    #[inline(always)]
    fn made<T>(&mut self, object: Result<Owned<'py, T>, Raised>) -> Result<Owned<'py, T>, Stopped> {
        object.map_err(|raised| {
            self.failure = Some(DecodeFailure::Raised(raised));
            Stopped
        })
    }

    #[cold]
    fn malformed<T>(&mut self, reason: Reason, offset: usize) -> Result<T, Stopped> {
        self.failure = Some(DecodeFailure::Malformed(DecodeError { reason, offset }));
        Err(Stopped)
    }
}
