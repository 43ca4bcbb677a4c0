//! `Slate`: a `str` that is written anew while nobody else has it.
//!
//! Hot path. A text that comes with each request mostly goes when the request does. Then writing the
//! next one over it spares freeing one object and making another.

use std::{
    cell::Cell,
    mem::{MaybeUninit, offset_of},
    slice,
};

use pyo3_ffi as ffi;

use crate::{
    Ascii, Attached, Borrowed, Object, Owned, Raised, Slot, Str, ascii::copy, layout, text::state,
};

const _: () = assert!(offset_of!(ffi::PyASCIIObject, hash) == layout::STRING_HASH);

/// Characters of the longest text that is kept to be written over.
pub const SLATE_MAX: usize = 256;

/// What allocators hand out is a multiple of this.
const GRAIN: usize = 16;

/// A place for a `str` with a short ASCII text, which is used again for the next one.
///
/// For whoever gets the `str` it is one like any other: it does not change while anybody but the
/// slate has it, as the counts of references show, and it has no past.
#[derive(Default)]
pub struct Slate {
    text: Slot<Str>,
    /// How many characters `text` has room for.
    room: Cell<usize>,
}

impl Slate {
    /// A slate without a text.
    pub const fn empty() -> Self {
        Self { text: Slot::empty(), room: Cell::new(0) }
    }

    /// A `str` with the text: the one before, if nobody else has that and there is room in it.
    #[inline(always)]
    pub fn write<'py>(
        &self,
        py: Attached<'py>,
        text: Ascii<'_>,
    ) -> Result<Owned<'py, Str>, Raised> {
        if let Some(before) = self.text.take(py) {
            if before.is_unique() && self.takes(&before, text) {
                // SAFETY: the only reference is ours, and the text fits in.
                unsafe { before.write_over(text) };
                self.text.fill(py, before.clone());
                return Ok(before);
            }
            drop(before);
        }
        self.begin(py, text)
    }

    /// Writes the text over that of the `str`, if there is one, it has room, and but for this slate
    /// it has one owner. Says whether it could.
    ///
    /// # Safety
    ///
    /// If there is a `str`, one of its owners is a dict that nobody sees meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn write_over_in_dict(&self, text: Ascii<'_>) -> bool {
        let Some((own, _)) = self.text.place() else { return false };
        // SAFETY: the slot has it, which only ever has strings, and does not change meanwhile.
        let own = unsafe { Borrowed::<Str>::from_pointer(own) };
        let can = own.reference_count() == 2 && self.takes(&own, text);
        if can {
            // SAFETY: of the two references one is ours, and the other one the dict's, which nobody
            // sees; the text fits in.
            unsafe { own.write_over(text) };
        }
        can
    }

    /// Lets go of the `str`.
    pub(crate) fn clear(&self, py: Attached<'_>) {
        self.text.clear(py);
    }

    /// Whether the text can be written over that of `own`, which this slate has begun, if nobody else
    /// has it. Interned strings are in a table that does not count its references.
    #[inline(always)]
    fn takes(&self, own: &Object<Str>, text: Ascii<'_>) -> bool {
        text.len() <= self.room.get() && own.state() & state::INTERNED == 0
    }

    /// A new `str` with the text, which the next one may be written over.
    #[inline(never)]
    fn begin<'py>(&self, py: Attached<'py>, text: Ascii<'_>) -> Result<Owned<'py, Str>, Raised> {
        // There is one empty string, and long ones are not worth being kept.
        if text.is_empty() || text.len() > SLATE_MAX {
            return Str::ascii(py, text);
        }
        let whole = (layout::STRING_ASCII_HEADER + text.len() + 1).next_multiple_of(GRAIN);
        let room = whole - layout::STRING_ASCII_HEADER - 1;
        // SAFETY: on an attached thread.
        let object = unsafe { ffi::PyUnicode_New(room as ffi::Py_ssize_t, 0x7f) };
        // SAFETY: a new reference to a str, or NULL with an exception set.
        let new: Owned<'py, Str> = unsafe { Owned::or_raised(object, py) }?;
        // SAFETY: nobody has seen the object yet, and the text is no longer than its room.
        unsafe { new.write_over(text) };
        self.room.set(room);
        self.text.fill(py, new.clone());
        Ok(new)
    }
}

impl Object<Str> {
    /// Changes the text.
    ///
    /// # Safety
    ///
    /// This must be a compact ASCII string that was made with room for the text, is not interned, and
    /// has no owner but those who ask for this; and there must be no view into it.
    #[inline(always)]
    unsafe fn write_over(&self, text: Ascii<'_>) {
        let object = self.as_ptr().cast::<ffi::PyASCIIObject>();
        // SAFETY: a live str, which nobody looks at.
        unsafe { (*object).length = text.len() as ffi::Py_ssize_t };
        // The hash of what stands there is not known.
        // SAFETY: a live str, which nobody looks at.
        unsafe { (*object).hash = -1 };
        let target = object.wrapping_add(1).cast::<MaybeUninit<u8>>();
        // SAFETY: the characters stand behind the short header; there is room for the text and a
        // NUL, and nobody has a view of it.
        let target = unsafe { slice::from_raw_parts_mut(target, text.len() + 1) };
        let (characters, end) = target.split_at_mut(text.len());
        copy(text.as_bytes(), characters);
        end[0].write(0);
    }
}

/// Tries a slate: that CPython sees each text, and that no text which somebody has is written over.
pub(crate) fn check_layout(py: Attached<'_>) -> Result<bool, Raised> {
    let slate = Slate::default();
    let mut kept = Vec::new();
    for (text, keeps) in [("a text", true), ("another", false), ("a third", true), ("b", false)] {
        let Some(ascii) = Ascii::of(text.as_bytes()) else { return Ok(false) };
        let written = slate.write(py, ascii)?;
        if !written.is_seen_as(text) || written.hash(py)? != Str::new(py, text)?.hash(py)? {
            return Ok(false);
        }
        if keeps {
            kept.push((written, text));
        }
    }
    if !kept.iter().all(|(written, text)| written.is_seen_as(text)) {
        return Ok(false);
    }
    // A string that nobody but the slate has, as far as references are counted.
    let Some(ascii) = Ascii::of(b"a text that becomes a name") else { return Ok(false) };
    let written = slate.write(py, ascii)?;
    let could = slate.takes(&written, ascii);
    let name = written.interned(py)?;
    let is_same = slate.text.place().is_some_and(|(own, _)| own == name.pointer());
    Ok(could && is_same && !slate.takes(&name, ascii))
}
