//! `SlateDict`: a `dict` that is filled anew while nobody else has it, nor has changed it.
//!
//! Hot path. What comes with each request under the same names mostly goes when the request does.

use std::cell::Cell;

use crate::{
    Ascii, Attached, Borrowed, Dict, DictWatcher, Object, Owned, Raised, Slate, Slot, Str, Visitor,
};

/// What a dict is filled with: names, and what stands under each.
pub trait Entries {
    /// How many there are.
    fn count(&self) -> usize;

    /// A number that stands for these names in this order, and for no others.
    fn shape(&self) -> usize;

    /// Whether the dict may be filled again when it is retired. Then what stands there is small, and
    /// without a finalizer.
    fn may_retire(&self) -> bool;

    /// The name of an entry.
    fn name<'a>(&'a self, index: usize, py: Attached<'a>) -> Borrowed<'a, Str>;

    /// The text under it.
    fn text(&self, index: usize) -> Option<Ascii<'_>>;

    /// What is there if it is no text.
    fn other<'py>(&self, index: usize, py: Attached<'py>) -> Result<Owned<'py>, Raised>;
}

/// A place for a dict that is used again, with up to `N` texts in it that are written over.
///
/// For whoever gets the dict it is one like any other: it does not change while anybody but this has
/// it, and it has what it was filled with, whatever others have done to it before.
pub struct SlateDict<const N: usize> {
    dict: Slot<Dict>,
    /// The text of each entry of `dict`, while that is watched; empty where there is none.
    texts: [Slate; N],
    /// Which names `dict` has.
    shape: Cell<usize>,
    watcher: Option<DictWatcher>,
}

impl<const N: usize> SlateDict<N> {
    /// An empty place. Without a watcher no dict is used again.
    pub fn new(watcher: Option<DictWatcher>) -> Self {
        Self {
            dict: Slot::empty(),
            texts: [const { Slate::empty() }; N],
            shape: Cell::new(0),
            watcher,
        }
    }

    /// The dict that is kept here.
    #[inline(always)]
    pub fn get<'py>(&self, py: Attached<'py>) -> Option<Owned<'py, Dict>> {
        self.dict.get(py)
    }

    /// Keeps a dict that is not to be filled again.
    pub fn set(&self, py: Attached<'_>, dict: Owned<'_, Dict>) {
        self.dict.set(py, dict);
    }

    /// Lets go of the dict, unless it can be filled again: then nobody else has it, and there is
    /// nothing in it that anybody waits to see freed.
    #[inline(always)]
    pub fn retire(&self, py: Attached<'_>) {
        if let Some(dict) = self.dict.take(py)
            && dict.is_unique()
            && self.is_unchanged(&dict)
        {
            self.dict.fill(py, dict);
        }
    }

    /// A dict with the entries, which is kept here from then on; and the one that was here before, if
    /// it was not to be filled again: letting go of that one may run Python code. Nothing else does.
    #[inline(always)]
    pub fn fill<'py>(
        &self,
        py: Attached<'py>,
        entries: &impl Entries,
    ) -> Result<(Owned<'py, Dict>, Option<Owned<'py, Dict>>), Raised> {
        let filled = match self.dict.take(py) {
            Some(dict)
                if entries.may_retire()
                    && self.shape.get() == entries.shape()
                    && dict.is_unique()
                    && self.is_unchanged(&dict) =>
            {
                self.fill_again(py, &dict, entries)?;
                (dict, None)
            }
            before => match self.begin(py, entries) {
                Ok(dict) => (dict, before),
                Err(raised) => {
                    if let Some(before) = before {
                        self.dict.fill(py, before);
                    }
                    return Err(raised);
                }
            },
        };
        self.dict.fill(py, filled.0.clone());
        Ok(filled)
    }

    #[inline(always)]
    fn fill_again(
        &self,
        py: Attached<'_>,
        dict: &Object<Dict>,
        entries: &impl Entries,
    ) -> Result<(), Raised> {
        for index in 0..entries.count() {
            if let Some(text) = entries.text(index)
                && let Some(slate) = self.texts.get(index)
                // SAFETY: one owner of the text is the slate, and a dict that nobody has changed
                // is another one; nobody but us has that.
                && unsafe { slate.write_over_in_dict(text) }
            {
                continue;
            }
            self.put(py, dict, index, entries)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn begin<'py>(
        &self,
        py: Attached<'py>,
        entries: &impl Entries,
    ) -> Result<Owned<'py, Dict>, Raised> {
        let dict = Dict::new(py)?;
        for index in 0..entries.count() {
            self.replace(py, &dict, index, entries)?;
        }
        for slate in self.texts.iter().skip(entries.count()) {
            slate.clear(py);
        }
        self.shape.set(entries.shape());
        if entries.may_retire()
            && let Some(watcher) = self.watcher
        {
            watcher.watch(&dict, py);
        }
        Ok(dict)
    }

    /// Changes an entry of the dict, which is watched.
    #[inline(never)]
    fn put(
        &self,
        py: Attached<'_>,
        dict: &Object<Dict>,
        index: usize,
        entries: &impl Entries,
    ) -> Result<(), Raised> {
        let watcher = self.watcher.expect("the dict is watched");
        watcher.end_watch(dict, py);
        self.replace(py, dict, index, entries)?;
        watcher.watch(dict, py);
        Ok(())
    }

    /// Sets an entry of the dict, and has its text in the slate, or nothing.
    fn replace(
        &self,
        py: Attached<'_>,
        dict: &Object<Dict>,
        index: usize,
        entries: &impl Entries,
    ) -> Result<(), Raised> {
        let value = match (entries.text(index), self.texts.get(index)) {
            (Some(text), Some(slate)) => slate.write(py, text)?.into_any(),
            (Some(text), None) => Str::ascii(py, text)?.into_any(),
            (None, slate) => {
                if let Some(slate) = slate {
                    slate.clear(py);
                }
                entries.other(index, py)?
            }
        };
        dict.set(&*entries.name(index, py), &*value, py)
    }

    #[inline(always)]
    fn is_unchanged(&self, dict: &Object<Dict>) -> bool {
        self.watcher.is_some_and(|watcher| watcher.still_watches(dict))
    }

    /// Lets go of the dict.
    pub fn clear(&self, py: Attached<'_>) {
        self.dict.clear(py);
    }

    /// Shows the dict to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.dict);
    }
}
