//! `str`: made from UTF-8, Latin-1 or WTF-8, seen as UTF-8 or in its own width.
//!
//! Hot path. ASCII text is copied straight into and out of the object.

use std::{
    ffi::c_char,
    mem::{MaybeUninit, offset_of},
    ptr, slice,
};

use pyo3_ffi as ffi;

use crate::{
    Ascii, Attached, Borrowed, Dict, Object, Owned, Raised,
    ascii::{copy, is_ascii},
    layout,
    object::builtin,
    run_source,
};

/// Marks a `str`.
pub enum Str {}

builtin!(Str, PyUnicode_Type, Py_TPFLAGS_UNICODE_SUBCLASS);

/// The characters of a string in the width in which Python keeps them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Text<'a> {
    /// All below U+0080.
    Ascii(&'a str),
    /// All below U+0100, at least one above U+007F.
    Latin1(&'a [u8]),
    /// All below U+10000, at least one above U+00FF; may contain lone surrogates.
    Ucs2(&'a [u16]),
    /// At least one above U+FFFF; may contain lone surrogates.
    Ucs4(&'a [u32]),
}

impl Text<'_> {
    /// The text, with U+FFFD for lone surrogates, which UTF-8 cannot carry.
    pub fn to_string_lossy(self) -> String {
        let scalar = |unit: u32| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
        match self {
            Text::Ascii(text) => text.to_owned(),
            Text::Latin1(bytes) => bytes.iter().map(|&byte| char::from(byte)).collect(),
            Text::Ucs2(units) => units.iter().map(|&unit| scalar(unit.into())).collect(),
            Text::Ucs4(units) => units.iter().map(|&unit| scalar(unit)).collect(),
        }
    }
}

/// The word that says how a string is kept. Above its fields there is padding that nobody writes, so
/// every look masks what it asks for.
pub(crate) mod state {
    use crate::layout;

    pub(crate) const INTERNED: u32 = 0b11 << layout::STRING_INTERNED_BIT;
    pub(super) const KIND: u32 = 0b111 << layout::STRING_KIND_BIT;
    pub(super) const KIND_1: u32 = 1 << layout::STRING_KIND_BIT;
    pub(super) const KIND_2: u32 = 2 << layout::STRING_KIND_BIT;
    pub(super) const KIND_4: u32 = 4 << layout::STRING_KIND_BIT;
    pub(super) const COMPACT: u32 = 1 << layout::STRING_COMPACT_BIT;
    pub(super) const ASCII: u32 = 1 << layout::STRING_ASCII_BIT;
    pub(super) const COMPACT_ASCII: u32 = COMPACT | ASCII;
    pub(super) const PADDING: u32 = !0 << layout::STRING_FIELD_BITS;
}

// What is read through the structures of `pyo3-ffi` stands where the headers have it.
const _: () = {
    assert!(offset_of!(ffi::PyASCIIObject, length) == layout::STRING_LENGTH);
    assert!(offset_of!(ffi::PyASCIIObject, state) == layout::STRING_STATE);
    assert!(size_of::<ffi::PyASCIIObject>() == layout::STRING_ASCII_HEADER);
    assert!(size_of::<ffi::PyCompactUnicodeObject>() == layout::STRING_COMPACT_HEADER);
    assert!(offset_of!(ffi::PyUnicodeObject, data) == layout::STRING_DATA);
};

impl Str {
    /// A string with the text.
    #[inline]
    pub fn new<'py>(py: Attached<'py>, text: &str) -> Result<Owned<'py, Str>, Raised> {
        if is_ascii(text.as_bytes()) {
            // SAFETY: checked on the line above.
            return unsafe { from_narrow(py, text.as_bytes(), 0x7f) };
        }
        let (start, length) = (text.as_ptr().cast::<c_char>(), text.len() as ffi::Py_ssize_t);
        // SAFETY: `length` readable bytes, on an attached thread.
        let object = unsafe { ffi::PyUnicode_FromStringAndSize(start, length) };
        // SAFETY: a new reference to a str, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }

    /// A string with the text.
    #[inline]
    pub fn ascii<'py>(py: Attached<'py>, text: Ascii<'_>) -> Result<Owned<'py, Str>, Raised> {
        // SAFETY: the type says that no byte is above 0x7f.
        unsafe { from_narrow(py, text.as_bytes(), 0x7f) }
    }

    /// A string of which each byte is one character below U+0100; ASCII is the fast case.
    #[inline]
    pub fn latin1<'py>(py: Attached<'py>, bytes: &[u8]) -> Result<Owned<'py, Str>, Raised> {
        let largest = if is_ascii(bytes) { 0x7f } else { 0xff };
        // SAFETY: 0x7f was checked; for 0xff there is a byte above 0x7f, as CPython requires.
        unsafe { from_narrow(py, bytes, largest) }
    }

    /// A string from bytes that should be UTF-8.
    ///
    /// # Errors
    ///
    /// `UnicodeDecodeError` if they are not.
    #[inline]
    pub fn utf8<'py>(py: Attached<'py>, bytes: &[u8]) -> Result<Owned<'py, Str>, Raised> {
        if is_ascii(bytes) {
            // SAFETY: checked on the line above.
            return unsafe { from_narrow(py, bytes, 0x7f) };
        }
        decode(py, bytes, ptr::null())
    }

    /// A string from UTF-8 in which lone surrogates are encoded as if they were characters.
    ///
    /// # Errors
    ///
    /// `UnicodeDecodeError` for anything else that is not UTF-8.
    pub fn wtf8<'py>(py: Attached<'py>, bytes: &[u8]) -> Result<Owned<'py, Str>, Raised> {
        decode(py, bytes, c"surrogatepass".as_ptr())
    }

    /// A string from bytes that should be UTF-8, with U+FFFD for what is not.
    pub fn utf8_lossy<'py>(py: Attached<'py>, bytes: &[u8]) -> Result<Owned<'py, Str>, Raised> {
        decode(py, bytes, c"replace".as_ptr())
    }

    /// The one string with this text that the interpreter uses for names.
    pub fn intern<'py>(py: Attached<'py>, text: &str) -> Result<Owned<'py, Str>, Raised> {
        Str::new(py, text)?.interned(py)
    }
}

impl<'py> Owned<'py, Str> {
    /// The one string with the same text that the interpreter uses for names.
    pub(crate) fn interned(self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        let mut object = self.into_pointer();
        // SAFETY: `object` is our reference to a str; it is exchanged for the interned one.
        unsafe { ffi::PyUnicode_InternInPlace(&raw mut object) };
        // SAFETY: never NULL: interning keeps the string it was given if it fails.
        unsafe { Owned::or_raised(object, py) }
    }
}

/// # Safety
///
/// No byte may exceed `largest`; if `largest` is 0xff, one byte must exceed 0x7f.
#[inline]
unsafe fn from_narrow<'py>(
    py: Attached<'py>,
    bytes: &[u8],
    largest: u32,
) -> Result<Owned<'py, Str>, Raised> {
    // SAFETY: on an attached thread.
    let object = unsafe { ffi::PyUnicode_New(bytes.len() as ffi::Py_ssize_t, largest) };
    // SAFETY: a new reference to a str, or NULL with an exception set.
    let text: Owned<'py, Str> = unsafe { Owned::or_raised(object, py) }?;
    if !bytes.is_empty() {
        let target = text.data(largest == 0x7f).cast::<MaybeUninit<u8>>().cast_mut();
        // SAFETY: a new string of that length, one byte a character, which nobody has seen yet.
        let target = unsafe { slice::from_raw_parts_mut(target, bytes.len()) };
        copy(bytes, target);
    }
    Ok(text)
}

fn decode<'py>(
    py: Attached<'py>,
    bytes: &[u8],
    errors: *const c_char,
) -> Result<Owned<'py, Str>, Raised> {
    let (start, length) = (bytes.as_ptr().cast::<c_char>(), bytes.len() as ffi::Py_ssize_t);
    // SAFETY: `length` readable bytes, on an attached thread; `errors` is NULL or a static text.
    let object = unsafe { ffi::PyUnicode_DecodeUTF8(start, length, errors) };
    // SAFETY: a new reference to a str, or NULL with an exception set.
    unsafe { Owned::or_raised(object, py) }
}

impl Object<Str> {
    /// The number of characters.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // SAFETY: the mark says that this is a live str.
        unsafe { (*self.as_ptr().cast::<ffi::PyASCIIObject>()).length as usize }
    }

    /// Whether there are no characters.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    pub(crate) fn state(&self) -> u32 {
        // SAFETY: the mark says that this is a live str.
        unsafe { (*self.as_ptr().cast::<ffi::PyASCIIObject>()).state }
    }

    /// Where the characters are.
    #[inline(always)]
    fn data(&self, compact_ascii: bool) -> *const std::ffi::c_void {
        if compact_ascii {
            return self.as_ptr().cast::<ffi::PyASCIIObject>().wrapping_add(1).cast();
        }
        if self.state() & state::COMPACT != 0 {
            return self.as_ptr().cast::<ffi::PyCompactUnicodeObject>().wrapping_add(1).cast();
        }
        // SAFETY: a string that is not compact has the long header, and its data is set.
        let data = unsafe { &raw const (*self.as_ptr().cast::<ffi::PyUnicodeObject>()).data };
        // SAFETY: as above; all variants of the union are the one pointer.
        unsafe { data.cast::<*const std::ffi::c_void>().read() }
    }

    /// The text, if it is ASCII; reads the object and calls nothing.
    #[inline(always)]
    pub fn as_ascii(&self) -> Option<&str> {
        if self.state() & state::COMPACT_ASCII != state::COMPACT_ASCII {
            return None;
        }
        let start = self.data(true).cast::<u8>();
        // SAFETY: a compact ASCII string keeps its `len` bytes behind the short header; they do
        // not change while anybody has it (see `Slate`).
        let bytes = unsafe { slice::from_raw_parts(start, self.len()) };
        // SAFETY: the state says that all bytes are ASCII.
        Some(unsafe { str::from_utf8_unchecked(bytes) })
    }

    /// The text as UTF-8. For text beyond ASCII Python makes it once and keeps it in the string.
    ///
    /// # Errors
    ///
    /// `UnicodeEncodeError` if the string contains lone surrogates.
    #[inline(always)]
    pub fn as_utf8(&self, py: Attached<'_>) -> Result<&str, Raised> {
        match self.as_ascii() {
            Some(text) => Ok(text),
            None => self.encode_utf8(py),
        }
    }

    #[inline(never)]
    fn encode_utf8(&self, py: Attached<'_>) -> Result<&str, Raised> {
        let mut length = 0;
        // SAFETY: a live str, on an attached thread; `length` can be written.
        let start = unsafe { ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &raw mut length) };
        if start.is_null() {
            return Err(Raised::noticed(py));
        }
        // SAFETY: `length` bytes that the string keeps until it dies.
        let bytes = unsafe { slice::from_raw_parts(start.cast::<u8>(), length as usize) };
        // SAFETY: CPython's encoder writes UTF-8, and refuses surrogates.
        Ok(unsafe { str::from_utf8_unchecked(bytes) })
    }

    /// The characters in the width in which they are kept; calls nothing.
    #[inline]
    pub fn view(&self) -> Text<'_> {
        if let Some(text) = self.as_ascii() {
            return Text::Ascii(text);
        }
        let (start, length, state) = (self.data(false), self.len(), self.state());
        if state & state::KIND == state::KIND_1 {
            // SAFETY: the state says `length` characters of one byte; they never change.
            let bytes = unsafe { slice::from_raw_parts(start.cast::<u8>(), length) };
            // A subclass keeps even ASCII behind the long header.
            if state & state::ASCII != 0
                && let Ok(text) = str::from_utf8(bytes)
            {
                return Text::Ascii(text);
            }
            Text::Latin1(bytes)
        } else if state & state::KIND == state::KIND_2 {
            // SAFETY: the state says `length` characters of two bytes; they never change.
            Text::Ucs2(unsafe { slice::from_raw_parts(start.cast::<u16>(), length) })
        } else {
            // SAFETY: the state says `length` characters of four bytes; they never change.
            Text::Ucs4(unsafe { slice::from_raw_parts(start.cast::<u32>(), length) })
        }
    }

    /// Whether the string has this text.
    #[inline]
    pub fn equals_str(&self, text: &str) -> bool {
        if let Some(own) = self.as_ascii() {
            return own == text;
        }
        let (start, length) = (text.as_ptr().cast::<c_char>(), text.len() as ffi::Py_ssize_t);
        // SAFETY: a live str and `length` readable bytes; the comparison never fails.
        unsafe { ffi::PyUnicode_EqualToUTF8AndSize(self.as_ptr(), start, length) != 0 }
    }
}

impl<'a> Borrowed<'a, Str> {
    /// As [`Object::as_ascii`], for as long as the string lives.
    #[inline(always)]
    pub fn into_ascii(self) -> Option<&'a str> {
        // SAFETY: the text lives in the string, which lives for `'a`.
        self.as_ascii().map(|text| unsafe { &*ptr::from_ref(text) })
    }

    /// As [`Object::as_utf8`], for as long as the string lives.
    #[inline(always)]
    pub fn into_utf8(self, py: Attached<'_>) -> Result<&'a str, Raised> {
        // SAFETY: the text lives in the string, which lives for `'a`.
        self.as_utf8(py).map(|text| unsafe { &*ptr::from_ref(text) })
    }
}

/// Compares what this file reads from strings with what CPython says about them.
pub(crate) fn check_layout(py: Attached<'_>) -> Result<bool, Raised> {
    // An object of a derived class keeps its text elsewhere, and even ASCII behind the long header.
    let names = Dict::new(py)?;
    run_source(py, "class Derived(str): pass", &names)?;
    let derived = names.get(&*Str::new(py, "Derived")?, py)?.expect("the source defines it");
    let samples = ["layout", "l\u{e4}yout", "l\u{20ac}yout", "l\u{1f600}yout"];
    for (sample, kind) in samples.into_iter().zip([
        state::KIND_1 | state::COMPACT_ASCII,
        state::KIND_1 | state::COMPACT,
        state::KIND_2 | state::COMPACT,
        state::KIND_4 | state::COMPACT,
    ]) {
        let text = Str::new(py, sample)?;
        // First only the fields, which are there in any case: data is read where they say it is.
        let fields = || text.state() & (state::KIND | state::COMPACT_ASCII);
        if fields() != kind {
            return Ok(false);
        }
        // What is taken for padding may hold anything.
        let word = text.state();
        for dirty in [word & !state::PADDING, word | state::PADDING] {
            text.set_state(dirty);
            let is_right = fields() == kind && text.is_seen_as(sample);
            text.set_state(word);
            if !is_right {
                return Ok(false);
            }
        }
        match derived.call1(&*text, py)?.cast::<Str>() {
            Some(derived) if derived.is_seen_as(sample) => {}
            _ => return Ok(false),
        }
    }
    Ok(Str::new(py, "")?.is_seen_as(""))
}

impl Object<Str> {
    fn set_state(&self, word: u32) {
        // SAFETY: the mark says that this is a live str.
        unsafe { (*self.as_ptr().cast::<ffi::PyASCIIObject>()).state = word }
    }

    /// Whether the object is read as this text here, and by CPython.
    pub(crate) fn is_seen_as(&self, text: &str) -> bool {
        // SAFETY: a live str, on the attached thread that its handle shows; never fails.
        let length = unsafe { ffi::PyUnicode_GetLength(self.as_ptr()) };
        let (start, bytes) = (text.as_ptr().cast::<c_char>(), text.len() as ffi::Py_ssize_t);
        // SAFETY: a live str and readable bytes; the comparison never fails.
        let equal = unsafe { ffi::PyUnicode_EqualToUTF8AndSize(self.as_ptr(), start, bytes) };
        equal != 0
            && usize::try_from(length) == Ok(self.len())
            && self.view().to_string_lossy() == text
    }
}
