//! Calls, with their arguments on the stack.
//!
//! Hot path. Everything goes through vectorcall; no tuple of arguments is made.

use std::ptr;

use pyo3_ffi as ffi;

use crate::{Attached, Borrowed, Object, Owned, Raised, Str, Tuple};

/// Says that the word before the arguments may be overwritten during the call, which spares
/// CPython a copy of the arguments when it has to put a `self` in front.
const FREE_WORD_BEFORE: usize = ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;

impl<T> Object<T> {
    /// `object()`.
    #[inline]
    pub fn call0<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let mut arguments = [ptr::null_mut::<ffi::PyObject>()];
        // SAFETY: no arguments behind one free word.
        unsafe { self.vectorcall(arguments.as_mut_ptr().wrapping_add(1), FREE_WORD_BEFORE, py) }
    }

    /// `object(a)`.
    #[inline]
    pub fn call1<'py, A>(&self, a: &Object<A>, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let mut arguments = [ptr::null_mut(), a.as_ptr()];
        // SAFETY: one argument, kept alive by the caller, behind one free word.
        unsafe { self.vectorcall(arguments.as_mut_ptr().wrapping_add(1), 1 | FREE_WORD_BEFORE, py) }
    }

    /// `object(a, b)`.
    #[inline]
    pub fn call2<'py, A, B>(
        &self,
        a: &Object<A>,
        b: &Object<B>,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let mut arguments = [ptr::null_mut(), a.as_ptr(), b.as_ptr()];
        // SAFETY: two arguments, kept alive by the caller, behind one free word.
        unsafe { self.vectorcall(arguments.as_mut_ptr().wrapping_add(1), 2 | FREE_WORD_BEFORE, py) }
    }

    /// `object(*arguments)`.
    #[inline]
    pub fn call<'py>(
        &self,
        arguments: &[Borrowed<'_>],
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        // SAFETY: a `Borrowed` is a transparent pointer; its objects outlive the call.
        unsafe { self.vectorcall(arguments.as_ptr().cast(), arguments.len(), py) }
    }

    /// `object(*arguments, **keywords)`: the last `names.len()` arguments are passed by name.
    pub fn call_with_names<'py>(
        &self,
        arguments: &[Borrowed<'_>],
        names: &Object<Tuple>,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let Some(positional) = arguments.len().checked_sub(names.len()) else {
            return Err(Raised::type_error(py, "more names than arguments"));
        };
        if !names.items().iter().all(|name| name.is_a::<Str>()) {
            return Err(Raised::type_error(py, "names of arguments must be strings"));
        }
        // SAFETY: a `Borrowed` is a transparent pointer; its objects outlive the call. There is a
        // value for each name, and the names are strings.
        let result = unsafe {
            ffi::PyObject_Vectorcall(
                self.as_ptr(),
                arguments.as_ptr().cast(),
                positional,
                names.as_ptr(),
            )
        };
        // SAFETY: a new reference, or NULL with an exception set.
        unsafe { Owned::or_raised(result, py) }
    }

    /// `object.name()`.
    #[inline]
    pub fn call_method0<'py>(
        &self,
        name: &Object<Str>,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let mut arguments = [ptr::null_mut(), self.as_ptr()];
        // SAFETY: the receiver, kept alive by the caller, behind one free word.
        unsafe {
            vectorcall_method(
                name,
                arguments.as_mut_ptr().wrapping_add(1),
                1 | FREE_WORD_BEFORE,
                py,
            )
        }
    }

    /// `object.name(a)`.
    #[inline]
    pub fn call_method1<'py, A>(
        &self,
        name: &Object<Str>,
        a: &Object<A>,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let mut arguments = [ptr::null_mut(), self.as_ptr(), a.as_ptr()];
        // SAFETY: receiver and argument, kept alive by the caller, behind one free word.
        unsafe {
            vectorcall_method(
                name,
                arguments.as_mut_ptr().wrapping_add(1),
                2 | FREE_WORD_BEFORE,
                py,
            )
        }
    }

    /// `object.name(a, b)`.
    pub fn call_method2<'py, A, B>(
        &self,
        name: &Object<Str>,
        a: &Object<A>,
        b: &Object<B>,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let mut arguments = [ptr::null_mut(), self.as_ptr(), a.as_ptr(), b.as_ptr()];
        // SAFETY: receiver and arguments, kept alive by the caller, behind one free word.
        unsafe {
            vectorcall_method(
                name,
                arguments.as_mut_ptr().wrapping_add(1),
                3 | FREE_WORD_BEFORE,
                py,
            )
        }
    }

    /// # Safety
    ///
    /// `arguments` must point to as many live objects as `count` says, and, if `count` says so,
    /// be preceded by one word that may be overwritten.
    #[inline(always)]
    unsafe fn vectorcall<'py>(
        &self,
        arguments: *const *mut ffi::PyObject,
        count: usize,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let result = match self.python_function() {
            // SAFETY: the caller's duty; `py` shows an attached thread.
            Some(enter) => unsafe { enter(self.as_ptr(), arguments, count, ptr::null_mut()) },
            // SAFETY: the caller's duty; `py` shows an attached thread.
            None => unsafe {
                ffi::PyObject_Vectorcall(self.as_ptr(), arguments, count, ptr::null_mut())
            },
        };
        // SAFETY: a new reference, or NULL with an exception set.
        unsafe { Owned::or_raised(result, py) }
    }

    /// The entry of a function written in Python, as `PyVectorcall_Function` would give it.
    ///
    /// Calling it at once spares the search for it, and the check that its result and its
    /// exception agree, which guards against extensions and not against Python code.
    #[inline(always)]
    fn python_function(&self) -> Option<ffi::vectorcallfunc> {
        let class = self.type_pointer();
        if class != &raw mut ffi::PyFunction_Type {
            return None;
        }
        // SAFETY: a static type, whose offset does not change.
        let offset = unsafe { (*class).tp_vectorcall_offset };
        // SAFETY: CPython keeps the entry of each function at this offset of its object.
        let place = unsafe { self.as_ptr().byte_offset(offset) };
        // SAFETY: as above; the object is live, and a missing entry reads as `None`.
        unsafe { place.cast::<Option<ffi::vectorcallfunc>>().read() }
    }
}

/// # Safety
///
/// As `vectorcall`; the first argument is the receiver.
#[inline(always)]
unsafe fn vectorcall_method<'py>(
    name: &Object<Str>,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    py: Attached<'py>,
) -> Result<Owned<'py>, Raised> {
    // SAFETY: the caller's duty; `py` shows an attached thread.
    let result =
        unsafe { ffi::PyObject_VectorcallMethod(name.as_ptr(), arguments, count, ptr::null_mut()) };
    // SAFETY: a new reference, or NULL with an exception set.
    unsafe { Owned::or_raised(result, py) }
}
