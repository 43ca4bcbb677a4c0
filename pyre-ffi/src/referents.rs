//! What is kept by an object and what knows of it, as far as its type tells everybody.
//!
//! Hot path. Both are asked for to find out whether anybody has left something with an object that
//! is about to be used again.

use std::{
    ffi::{c_int, c_void},
    ptr::NonNull,
};

use pyo3_ffi as ffi;

use crate::{Any, Attached, Borrowed, Object, Owned};

/// How what an object keeps alive differs from what it kept before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Differing {
    /// Not at all.
    None,
    /// In the one at this place.
    One(usize),
    /// In more, or in their number.
    More,
}

impl<T> Object<T> {
    /// The objects that this one keeps alive, in the order in which its type shows them to the
    /// garbage collector; what `gc.get_referents` tells.
    pub fn referents<'py>(&self, py: Attached<'py>) -> Vec<Owned<'py>> {
        let mut found = Found { py, objects: Vec::new() };
        self.traverse(collect, (&raw mut found).cast());
        found.objects
    }

    /// In what [`referents`](Object::referents) would differ from these very objects.
    #[inline]
    pub fn differing_referents(&self, expected: &[Owned<'_>], _py: Attached<'_>) -> Differing {
        let mut compared = Compared { expected, next: 0, differing: Differing::None };
        self.traverse(compare, (&raw mut compared).cast());
        if compared.next == expected.len() { compared.differing } else { Differing::More }
    }

    /// Whether `other` would be among the [`referents`](Object::referents).
    #[inline]
    pub fn refers_to<U>(&self, other: &Object<U>, _py: Attached<'_>) -> bool {
        let mut sought = Sought { object: other.as_ptr(), is_met: false };
        self.traverse(meet, (&raw mut sought).cast());
        sought.is_met
    }

    /// Whether this is the head of the list of weak references to the object; none for an empty
    /// list.
    ///
    /// CPython puts a new one in front, but behind the one without a callback, which is always
    /// first. So as long as the head is the same and has a callback, and is alive, all that were
    /// made since are gone.
    #[inline]
    pub fn newest_weak_reference_is(&self, expected: Option<&Object>, _py: Attached<'_>) -> bool {
        self.newest_weak_reference() == expected.map(Object::pointer)
    }

    #[inline]
    fn newest_weak_reference(&self) -> Option<NonNull<ffi::PyObject>> {
        let class = self.type_pointer();
        // SAFETY: the object keeps its type alive, and a type that has instances is ready.
        let offset = unsafe { (*class).tp_weaklistoffset };
        if offset == 0 {
            return None;
        }
        // SAFETY: where a type has this offset, each instance has the head of its list there; it
        // may lie in front of the object.
        let place = unsafe { self.as_ptr().byte_offset(offset) };
        // SAFETY: as above; the head is changed under the interpreter's lock only, which the thread
        // that has this handle holds.
        NonNull::new(unsafe { place.cast::<*mut ffi::PyObject>().read() })
    }

    /// Has the object's type show what the object keeps alive. That it stops when `visit` answers
    /// other than 0, or says so itself, is not to be relied on: the task of asyncio does not, for
    /// its attributes. Types that the garbage collector does not know show nothing.
    #[inline]
    fn traverse(&self, visit: ffi::visitproc, argument: *mut c_void) {
        let class = self.type_pointer();
        // SAFETY: the object keeps its type alive, and a type that has instances is ready.
        let Some(traverse) = (unsafe { (*class).tp_traverse }) else { return };
        // SAFETY: a live object of the type. Outside of a collection it may be called at any time
        // by a thread that holds the interpreter's lock, as `gc.get_referents` does; our functions
        // neither run Python code nor change an object meanwhile.
        unsafe { traverse(self.as_ptr(), visit, argument) };
    }
}

/// What `collect` adds to.
struct Found<'py> {
    py: Attached<'py>,
    objects: Vec<Owned<'py>>,
}

unsafe extern "C" fn collect(object: *mut ffi::PyObject, argument: *mut c_void) -> c_int {
    let Some(object) = NonNull::new(object) else { return 0 };
    // SAFETY: `referents` passes a `Found`, which nobody else touches during the call.
    let found = unsafe { &mut *argument.cast::<Found<'_>>() };
    // SAFETY: the object that is traversed keeps it alive until it is counted, on this line.
    let object = unsafe { Borrowed::<Any>::from_pointer(object) }.to_owned(found.py);
    found.objects.push(object);
    0
}

/// What `compare` goes through.
struct Compared<'a, 'py> {
    expected: &'a [Owned<'py>],
    /// How many were shown.
    next: usize,
    differing: Differing,
}

unsafe extern "C" fn compare(object: *mut ffi::PyObject, argument: *mut c_void) -> c_int {
    // SAFETY: `differing_referents` passes a `Compared`, which nobody else touches during the call.
    let compared = unsafe { &mut *argument.cast::<Compared<'_, '_>>() };
    let expected = compared.expected.get(compared.next);
    if expected.is_none_or(|expected| expected.as_ptr() != object) {
        compared.differing = match compared.differing {
            Differing::None if expected.is_some() => Differing::One(compared.next),
            _ => Differing::More,
        };
    }
    compared.next += 1;
    c_int::from(compared.differing == Differing::More)
}

/// What `meet` looks for.
struct Sought {
    object: *mut ffi::PyObject,
    is_met: bool,
}

unsafe extern "C" fn meet(object: *mut ffi::PyObject, argument: *mut c_void) -> c_int {
    // SAFETY: `refers_to` passes a `Sought`, which nobody else touches during the call.
    let sought = unsafe { &mut *argument.cast::<Sought>() };
    sought.is_met |= object == sought.object;
    c_int::from(sought.is_met)
}
