//! What belongs to one process: one that was forked from it begins with something new, as the threads that
//! had a part in the old one are not there.

use std::sync::OnceLock;

use pyre_ffi::interpreter::{forks, notice_forks};

/// A value for this process, and for those that are forked from it one each.
pub(crate) struct OfProcess<T> {
    value: OnceLock<T>,
    next: OnceLock<Box<Self>>,
}

impl<T: Default> OfProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { value: OnceLock::new(), next: OnceLock::new() }
    }

    /// That of this process.
    pub(crate) fn get(&self) -> &T {
        self.place().get_or_init(|| {
            notice_forks();
            T::default()
        })
    }

    /// The same, if anybody has come for it.
    pub(crate) fn get_if_used(&self) -> Option<&T> {
        self.place().get()
    }

    fn place<'a>(&'a self) -> &'a OnceLock<T> {
        let of_child =
            |before: &'a Self| before.next.get_or_init(|| Box::new(Self::new())).as_ref();
        &(0..forks()).fold(self, |before, _| of_child(before)).value
    }
}
