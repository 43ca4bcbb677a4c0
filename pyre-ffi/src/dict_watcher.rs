//! `DictWatcher`: tells whether a dict has been changed since somebody last looked.
//!
//! CPython calls a watcher before each change of a dict that is watched; ours ends the watch. So a
//! dict that is still watched is as it was. Looking costs one load.
//!
//! See <https://docs.python.org/3/c-api/dict.html#c.PyDict_AddWatcher>.

use std::ffi::c_int;

use pyo3_ffi as ffi;

use crate::{Attached, Dict, ExceptionKind, InterpreterId, Object, Raised, layout};

/// An interpreter has room for that many watchers, whoever they are of.
const WATCHERS_MAX: usize = 8;

type Callback = unsafe extern "C" fn(
    event: c_int,
    dict: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    new_value: *mut ffi::PyObject,
) -> c_int;

// Functions that pyo3-ffi leaves out.
unsafe extern "C" {
    fn PyDict_AddWatcher(callback: Callback) -> c_int;
}

/// A watcher of dicts in one interpreter, for as long as that lives.
#[derive(Clone, Copy)]
pub struct DictWatcher {
    id: c_int,
    home: InterpreterId,
}

impl DictWatcher {
    /// Adds a watcher to the interpreter; `None` if others have taken all there can be.
    pub fn new(py: Attached<'_>) -> Result<Option<Self>, Raised> {
        // The callback is told the dict, and not who watches it: each number has its own.
        const CALLBACKS: [Callback; WATCHERS_MAX] = [
            end_watch::<0>,
            end_watch::<1>,
            end_watch::<2>,
            end_watch::<3>,
            end_watch::<4>,
            end_watch::<5>,
            end_watch::<6>,
            end_watch::<7>,
        ];
        let Some(next) = add(CALLBACKS[0], py)? else { return Ok(None) };
        // SAFETY: on an attached thread, a number that is ours.
        Raised::check(unsafe { ffi::PyDict_ClearWatcher(next) }, py)?;
        let Some(&callback) = usize::try_from(next).ok().and_then(|next| CALLBACKS.get(next))
        else {
            return Ok(None);
        };
        // It gets the number that has just become free: the first one.
        let id = add(callback, py)?;
        Ok((id == Some(next)).then_some(Self { id: next, home: py.interpreter() }))
    }

    /// Watches the dict from now on. It does not if somebody else has cleared this watcher.
    ///
    /// # Panics
    ///
    /// If this is another interpreter's watcher.
    #[inline]
    pub(crate) fn watch(self, dict: &Object<Dict>, py: Attached<'_>) {
        self.check_home(py);
        // SAFETY: a live dict, on an attached thread, and a watcher of this interpreter.
        let watched = unsafe { ffi::PyDict_Watch(self.id, dict.as_ptr()) };
        forget_failure(watched, py);
    }

    /// Ends the watch.
    ///
    /// # Panics
    ///
    /// If this is another interpreter's watcher.
    #[inline]
    pub(crate) fn end_watch(self, dict: &Object<Dict>, py: Attached<'_>) {
        self.check_home(py);
        // SAFETY: a live dict, on an attached thread, and a watcher of this interpreter.
        let ended = unsafe { ffi::PyDict_Unwatch(self.id, dict.as_ptr()) };
        forget_failure(ended, py);
    }

    /// Whether the dict, which this watcher has watched, has not been changed since.
    #[inline(always)]
    pub(crate) fn still_watches(self, dict: &Object<Dict>) -> bool {
        let word = dict.as_ptr().wrapping_byte_add(layout::DICT_WATCHERS).cast::<u64>();
        // SAFETY: a live dict; the word is there, as build and import have found.
        let word = unsafe { word.read() };
        word >> self.id & 1 != 0
    }

    fn check_home(self, py: Attached<'_>) {
        assert_eq!(self.home, py.interpreter(), "a watcher is used where it was added");
    }
}

/// An extension may clear a watcher that is not its own; then nothing is watched any more.
fn forget_failure(result: c_int, py: Attached<'_>) {
    if let Err(raised) = Raised::check(result, py) {
        raised.clear(py);
    }
}

/// Adds the callback; its number, or `None` if there is no room.
fn add(callback: Callback, py: Attached<'_>) -> Result<Option<c_int>, Raised> {
    // SAFETY: on an attached thread, a function that lives as long as the process.
    let id = unsafe { PyDict_AddWatcher(callback) };
    if id >= 0 {
        return Ok(Some(id));
    }
    let raised = Raised::pending();
    if !raised.matches(ExceptionKind::RuntimeError, py) {
        return Err(raised);
    }
    raised.clear(py);
    Ok(None)
}

/// Called before a change of a dict that the watcher `ID` watches. An exception may be set.
unsafe extern "C" fn end_watch<const ID: c_int>(
    event: c_int,
    dict: *mut ffi::PyObject,
    _key: *mut ffi::PyObject,
    _new_value: *mut ffi::PyObject,
) -> c_int {
    if event == layout::DICT_DEALLOCATED {
        return 0;
    }
    // SAFETY: CPython calls this on an attached thread with the dict, and the watcher is of its
    // interpreter.
    unsafe { ffi::PyDict_Unwatch(ID, dict) }
}

/// Tries a watcher: that what is read of a dict is what CPython has noted there.
pub(crate) fn check_layout(py: Attached<'_>) -> Result<bool, Raised> {
    let Some(watcher) = DictWatcher::new(py)? else { return Ok(true) };
    let dict = Dict::new(py)?;
    let key = crate::Str::new(py, "key")?;
    let mut is_right = !watcher.still_watches(&dict);
    for _ in 0..2 {
        watcher.watch(&dict, py);
        is_right &= watcher.still_watches(&dict);
        dict.set(&*key, &*crate::List::new(py)?, py)?;
        is_right &= !watcher.still_watches(&dict);
    }
    watcher.watch(&dict, py);
    watcher.end_watch(&dict, py);
    is_right &= !watcher.still_watches(&dict);
    // SAFETY: on an attached thread, a number that is ours.
    Raised::check(unsafe { ffi::PyDict_ClearWatcher(watcher.id) }, py)?;
    Ok(is_right)
}
