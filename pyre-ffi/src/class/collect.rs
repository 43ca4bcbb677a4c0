//! Traverse and clear for the garbage collector, and the end of an object.

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
    marker::PhantomData,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::{self, NonNull},
};

use pyo3_ffi as ffi;

use super::{Class, instance::Layout, trampoline};
use crate::{Attached, Held, InterpreterId, Slot};

/// Takes note of the objects that a value keeps alive.
pub struct Visitor<'a> {
    home: InterpreterId,
    visit: ffi::visitproc,
    argument: *mut c_void,
    result: c_int,
    scope: PhantomData<&'a ()>,
}

impl Visitor<'_> {
    /// # Safety
    ///
    /// `visit` and `argument` must be what the collector of `home` passed to a `tp_traverse` that
    /// runs now.
    pub(crate) unsafe fn new(
        home: InterpreterId,
        visit: ffi::visitproc,
        argument: *mut c_void,
    ) -> Visitor<'static> {
        Visitor { home, visit, argument, result: 0, scope: PhantomData }
    }

    /// Shows an object that is kept.
    pub fn held<T>(&mut self, held: &Held<T>) {
        self.object(held.place());
    }

    /// Shows what is kept in a slot, if anything.
    pub fn slot<T>(&mut self, slot: &Slot<T>) {
        if let Some(place) = slot.place() {
            self.object(place);
        }
    }

    /// Passes by what belongs to another interpreter, which can get here as `Held` is `Send`: its
    /// lock is not ours, and its objects are none of this collector's business.
    fn object(&mut self, (object, home): (NonNull<ffi::PyObject>, InterpreterId)) {
        if self.result == 0 && home == self.home {
            // SAFETY: a live object of this interpreter, kept by the value that is traversed, and
            // the collector's own function and argument.
            self.result = unsafe { (self.visit)(object.as_ptr(), self.argument) };
        }
    }

    pub(crate) fn result(&self) -> c_int {
        self.result
    }
}

/// `tp_traverse`. A panic means that less was shown, which keeps objects alive and harms nothing.
pub(super) unsafe extern "C" fn traverse<T: Class>(
    this: *mut ffi::PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    let layout = this.cast::<Layout<T>>();
    // SAFETY: Python calls this for instances of `T` only, and only after they were filled.
    let home = unsafe { (*layout).home };
    // SAFETY: as above; instances of heap types keep their type.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: the collector's own arguments, used within this call.
    let mut visitor = unsafe { Visitor::new(home, visit, argument) };
    visitor.object((NonNull::new(class.cast()).expect("every object has a type"), home));
    // SAFETY: as above; see `Object::get` for why nobody has a `&mut` of the value.
    let value = unsafe { &(*layout).value };
    let _ = catch_unwind(AssertUnwindSafe(|| value.traverse(&mut visitor)));
    visitor.result()
}

/// `tp_clear`.
pub(super) unsafe extern "C" fn clear<T: Class>(this: *mut ffi::PyObject) -> c_int {
    // SAFETY: Python calls this for live instances of `T` only.
    unsafe {
        trampoline::method::<T, _>(this, -1, |value, py| {
            value.clear(py);
            Ok(0)
        })
    }
}

/// Ends of objects that may nest in one another before further ones wait for the outermost. Where
/// each object of a chain is the last owner of the next, the stack would overflow otherwise.
const NESTED_MAX: usize = 50;

thread_local! {
    static ENDING: Ending = const {
        Ending {
            depth: Cell::new(0),
            home: Cell::new(InterpreterId::MAIN),
            waiting: Cell::new(ManuallyDrop::new(Vec::new())),
        }
    };
}

/// The objects whose end this thread is in.
struct Ending {
    depth: Cell<usize>,
    /// The interpreter of the outermost one, which alone may leave others for later.
    home: Cell<InterpreterId>,
    /// Those that wait. Empty when no object is being ended, so there is nothing to drop.
    waiting: Cell<ManuallyDrop<Vec<NonNull<ffi::PyObject>>>>,
}

impl Ending {
    /// Goes one level deeper, and tells how deep it was; or keeps the object for later.
    #[inline]
    fn enter(&self, object: *mut ffi::PyObject, home: InterpreterId) -> Option<usize> {
        let depth = self.depth.get();
        if depth == 0 {
            self.home.set(home);
        } else if depth >= NESTED_MAX && self.home.get() == home {
            let mut waiting = self.waiting.take();
            waiting.extend(NonNull::new(object));
            self.waiting.set(waiting);
            return None;
        }
        self.depth.set(depth + 1);
        Some(depth)
    }

    fn next(&self) -> Option<NonNull<ffi::PyObject>> {
        let mut waiting = self.waiting.take();
        let next = waiting.pop();
        if next.is_some() {
            self.waiting.set(waiting);
        } else {
            drop(ManuallyDrop::into_inner(waiting));
        }
        next
    }
}

/// `tp_dealloc`.
pub(super) unsafe extern "C" fn deallocate<T: Class>(this: *mut ffi::PyObject) {
    // SAFETY: Python calls this for instances of `T` only.
    let home = unsafe { (*this.cast::<Layout<T>>()).home };
    let Some(depth) = ENDING.with(|ending| ending.enter(this, home)) else {
        // SAFETY: the object's memory is intact.
        unsafe { untrack(this) };
        return;
    };
    // SAFETY: the caller's duty is the same.
    unsafe { end::<T>(this) };
    if depth == 0 {
        while let Some(object) = ENDING.with(Ending::next) {
            // SAFETY: an object without owners, which nobody looks at but we.
            let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
            // SAFETY: the object keeps its type; all that wait have come through this function.
            let deallocate = unsafe { (*class).tp_dealloc }.expect("made by `ClassSpec`");
            // SAFETY: of the outermost object's interpreter, which this thread is attached to.
            unsafe { deallocate(object.as_ptr()) };
        }
    }
    ENDING.with(|ending| ending.depth.set(depth));
}

/// From here on the collector does not look at the object.
///
/// # Safety
///
/// `this` must be an instance of a class of ours, whole.
unsafe fn untrack(this: *mut ffi::PyObject) {
    // SAFETY: the caller shows a live object.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: the object keeps its type.
    if unsafe { ffi::PyType_HasFeature(class, ffi::Py_TPFLAGS_HAVE_GC) } != 0 {
        // SAFETY: a collected object; it does no harm if that has been done before.
        unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    }
}

/// Drops the value and frees the object. Slots are emptied first, while `py` is at hand, which
/// spares each of them to ask for the interpreter when the value is dropped.
///
/// # Safety
///
/// `this` must be an instance of `T` without owners, on a thread attached to its interpreter.
unsafe fn end<T: Class>(this: *mut ffi::PyObject) {
    // SAFETY: the object's memory is intact until it is freed below.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: the object is whole.
    unsafe { untrack(this) };
    let layout = this.cast::<Layout<T>>();
    // SAFETY: the caller shows an instance of `T`.
    let home = unsafe { (*layout).home };
    // SAFETY: objects are freed by threads attached to their interpreter.
    let py = unsafe { Attached::assume(home) };
    // SAFETY: nobody has a reference to the object any more, so this is the only use of `value`.
    let value = unsafe { &raw mut (*layout).value };
    if T::IS_WEAKLY_REFERABLE {
        // SAFETY: an object without owners, of a type with a list of weak references, on a thread attached to
        // its interpreter; whole, though what this calls cannot reach it any more.
        unsafe { ffi::PyObject_ClearWeakRefs(this) };
    }
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as above; the value is whole.
        unsafe { &*value }.clear(py);
        // SAFETY: as above; nothing reads the value afterwards.
        unsafe { ptr::drop_in_place(value) };
    }));
    if let Err(panic) = ended {
        trampoline::report_panic(panic.as_ref(), T::NAME, py);
    }
    // SAFETY: a ready type has `tp_free`; CPython inherits it from `object`.
    let free = unsafe { (*class).tp_free }.expect("a ready type can free its instances");
    // SAFETY: the object was allocated by this type's allocator and is not used any more.
    unsafe { free(this.cast()) };
    // SAFETY: instances of heap types own a reference to their type; this one is gone.
    unsafe { ffi::Py_DECREF(class.cast()) };
}
