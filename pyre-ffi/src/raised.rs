//! `Raised`: an exception is set on this thread. Raise, take, restore, test, set aside.

use std::{ffi::CStr, marker::PhantomData, mem, ptr::NonNull};

use pyo3_ffi as ffi;

use crate::{Attached, Object, Owned, Str, object::sealed};

/// Marks an exception, an instance of `BaseException`.
pub enum Exception {}

// SAFETY: CPython sets the flag for `BaseException` and what derives from it.
unsafe impl sealed::Described for Exception {
    fn type_object() -> *mut ffi::PyTypeObject {
        // SAFETY: set once, before any interpreter runs.
        unsafe { ffi::PyExc_BaseException }.cast()
    }

    #[inline(always)]
    unsafe fn is_instance(object: *mut ffi::PyObject) -> bool {
        // SAFETY: the caller shows a live object.
        let class = unsafe { ffi::Py_TYPE(object) };
        // SAFETY: an object keeps its type alive; flags for subclasses never change.
        unsafe { ffi::PyType_HasFeature(class, ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS) != 0 }
    }
}

/// An exception is set on this thread, for as long as this value lives.
///
/// Whoever gets it passes it on or takes the exception; dropping it clears the exception, so that
/// a failure that is ignored cannot surface later at a place that has nothing to do with it.
#[must_use = "an exception is set; pass it on, take it or clear it"]
#[derive(Debug)]
pub struct Raised {
    stays_here: PhantomData<*mut ()>,
}

/// The built-in exceptions that Rust code raises and tests for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are Python's own")]
pub enum ExceptionKind {
    BaseException,
    Exception,
    AttributeError,
    BufferError,
    ConnectionError,
    ImportError,
    IndexError,
    KeyError,
    KeyboardInterrupt,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    RuntimeError,
    StopAsyncIteration,
    StopIteration,
    SystemError,
    SystemExit,
    TimeoutError,
    /// `BlockingIOError`: it would have to be waited for.
    BlockingIOError,
    TypeError,
    UnicodeDecodeError,
    UnicodeEncodeError,
    ValueError,
}

impl ExceptionKind {
    fn class(self) -> *mut ffi::PyObject {
        let class = match self {
            ExceptionKind::BaseException => &raw const ffi::PyExc_BaseException,
            ExceptionKind::Exception => &raw const ffi::PyExc_Exception,
            ExceptionKind::AttributeError => &raw const ffi::PyExc_AttributeError,
            ExceptionKind::BufferError => &raw const ffi::PyExc_BufferError,
            ExceptionKind::ConnectionError => &raw const ffi::PyExc_ConnectionError,
            ExceptionKind::ImportError => &raw const ffi::PyExc_ImportError,
            ExceptionKind::IndexError => &raw const ffi::PyExc_IndexError,
            ExceptionKind::KeyError => &raw const ffi::PyExc_KeyError,
            ExceptionKind::KeyboardInterrupt => &raw const ffi::PyExc_KeyboardInterrupt,
            ExceptionKind::LookupError => &raw const ffi::PyExc_LookupError,
            ExceptionKind::MemoryError => &raw const ffi::PyExc_MemoryError,
            ExceptionKind::NotImplementedError => &raw const ffi::PyExc_NotImplementedError,
            ExceptionKind::OSError => &raw const ffi::PyExc_OSError,
            ExceptionKind::OverflowError => &raw const ffi::PyExc_OverflowError,
            ExceptionKind::RecursionError => &raw const ffi::PyExc_RecursionError,
            ExceptionKind::RuntimeError => &raw const ffi::PyExc_RuntimeError,
            ExceptionKind::StopAsyncIteration => &raw const ffi::PyExc_StopAsyncIteration,
            ExceptionKind::StopIteration => &raw const ffi::PyExc_StopIteration,
            ExceptionKind::SystemError => &raw const ffi::PyExc_SystemError,
            ExceptionKind::SystemExit => &raw const ffi::PyExc_SystemExit,
            ExceptionKind::TimeoutError => &raw const ffi::PyExc_TimeoutError,
            ExceptionKind::BlockingIOError => &raw const ffi::PyExc_BlockingIOError,
            ExceptionKind::TypeError => &raw const ffi::PyExc_TypeError,
            ExceptionKind::UnicodeDecodeError => &raw const ffi::PyExc_UnicodeDecodeError,
            ExceptionKind::UnicodeEncodeError => &raw const ffi::PyExc_UnicodeEncodeError,
            ExceptionKind::ValueError => &raw const ffi::PyExc_ValueError,
        };
        // SAFETY: set once, before any interpreter runs, to a static type.
        unsafe { *class }
    }

    /// The class itself, as module attribute, base class or argument of `isinstance`.
    pub fn object<'py>(self, py: Attached<'py>) -> Owned<'py, crate::Type> {
        let class = NonNull::new(self.class()).expect("set before any interpreter runs");
        // SAFETY: a static type object, never freed.
        unsafe { crate::Borrowed::<crate::Type>::from_pointer(class) }.to_owned(py)
    }
}

impl Raised {
    /// Says that the C call that just failed left an exception.
    #[inline(always)]
    pub(crate) fn pending() -> Raised {
        Raised { stays_here: PhantomData }
    }

    /// As `pending`, for results that a broken extension may report without an exception.
    #[cold]
    pub(crate) fn noticed(py: Attached<'_>) -> Raised {
        if is_set(py) {
            return Raised::pending();
        }
        Raised::new(py, ExceptionKind::SystemError, "a call failed without setting an exception")
    }

    /// The result of a C call that answers -1 with an exception set, or 0.
    #[inline(always)]
    pub(crate) fn check(result: i32, py: Attached<'_>) -> Result<(), Raised> {
        if result < 0 { Err(Raised::noticed(py)) } else { Ok(()) }
    }

    /// The result of a C call that answers -1 with an exception set, or 0, or 1.
    #[inline(always)]
    pub(crate) fn check_bool(result: i32, py: Attached<'_>) -> Result<bool, Raised> {
        if result < 0 { Err(Raised::noticed(py)) } else { Ok(result != 0) }
    }

    /// Raises a built-in exception.
    #[cold]
    pub fn new(py: Attached<'_>, kind: ExceptionKind, message: &str) -> Raised {
        match Str::new(py, message) {
            // SAFETY: a static class and a live str, on an attached thread.
            Ok(message) => unsafe { ffi::PyErr_SetObject(kind.class(), message.as_ptr()) },
            Err(out_of_memory) => return out_of_memory,
        }
        Raised::pending()
    }

    /// Raises `ValueError`.
    #[cold]
    pub fn value_error(py: Attached<'_>, message: &str) -> Raised {
        Raised::new(py, ExceptionKind::ValueError, message)
    }

    /// Raises `TypeError`.
    #[cold]
    pub fn type_error(py: Attached<'_>, message: &str) -> Raised {
        Raised::new(py, ExceptionKind::TypeError, message)
    }

    /// Raises `RuntimeError`.
    #[cold]
    pub fn runtime_error(py: Attached<'_>, message: &str) -> Raised {
        Raised::new(py, ExceptionKind::RuntimeError, message)
    }

    /// Raises `class(argument)`, for exceptions of other modules and those with an argument that
    /// is no text, such as `KeyError`.
    #[cold]
    pub fn with<T, A>(py: Attached<'_>, class: &Object<T>, argument: &Object<A>) -> Raised {
        // SAFETY: live objects, on an attached thread; CPython checks that `class` is a class of
        // exceptions and raises `SystemError` if not.
        unsafe { ffi::PyErr_SetObject(class.as_ptr(), argument.as_ptr()) };
        Raised::noticed(py)
    }

    /// Raises an exception that exists already, with the traceback it has.
    pub fn restore(py: Attached<'_>, exception: Owned<'_, Exception>) -> Raised {
        let _ = py;
        // SAFETY: on an attached thread, which `py` shows; the reference is given away.
        unsafe { ffi::PyErr_SetRaisedException(exception.into_pointer()) };
        Raised::pending()
    }

    /// The exception, which is no longer set afterwards.
    pub fn take<'py>(self, py: Attached<'py>) -> Owned<'py, Exception> {
        mem::forget(self);
        loop {
            // SAFETY: on an attached thread.
            let exception = unsafe { ffi::PyErr_GetRaisedException() };
            if let Some(exception) = NonNull::new(exception) {
                // SAFETY: a new reference to the exception that was set.
                return unsafe { Owned::from_pointer(exception, py) };
            }
            // Somebody kept a `Raised` while another exception came and went. That is our own
            // fault, and must not pass for success.
            mem::forget(Raised::new(py, ExceptionKind::SystemError, "the exception was lost"));
        }
    }

    /// Leaves the exception set, for a border function that now answers NULL or -1.
    #[cold]
    pub(crate) fn leave_set(self, py: Attached<'_>) {
        mem::forget(self);
        if !is_set(py) {
            let text = "a failure was reported without an exception";
            mem::forget(Raised::new(py, ExceptionKind::SystemError, text));
        }
    }

    /// Whether the exception is of the kind, or derives from it.
    pub fn matches(&self, kind: ExceptionKind, py: Attached<'_>) -> bool {
        let _ = py;
        // SAFETY: on an attached thread, with a static class.
        unsafe { ffi::PyErr_ExceptionMatches(kind.class()) != 0 }
    }

    /// Whether the exception is an instance of the class, or of one in a tuple of classes.
    pub fn matches_class<T>(&self, class: &Object<T>, py: Attached<'_>) -> bool {
        let _ = py;
        // SAFETY: on an attached thread, with a live object.
        unsafe { ffi::PyErr_ExceptionMatches(class.as_ptr()) != 0 }
    }

    /// Hands the exception to `sys.unraisablehook`, where nobody is left to pass it to.
    pub fn write_unraisable(self, context: &str, py: Attached<'_>) {
        let exception = self.take(py);
        let context = Str::new(py, context).ok();
        let context = context.as_ref().map_or(std::ptr::null_mut(), |text| text.as_ptr());
        mem::forget(Raised::restore(py, exception));
        // SAFETY: on an attached thread with an exception set, which the call takes; the context
        // may be NULL.
        unsafe { ffi::PyErr_WriteUnraisable(context) };
    }

    /// Forgets the exception.
    pub fn clear(self, py: Attached<'_>) {
        drop(self.take(py));
    }
}

impl Drop for Raised {
    #[cold]
    fn drop(&mut self) {
        // Unlike an `Owned` this has no lifetime, so safe code can keep it too long.
        if crate::InterpreterId::current().is_some() {
            // SAFETY: on an attached thread.
            unsafe { ffi::PyErr_Clear() };
        }
    }
}

/// Does what is to be done at the end, whatever has become of what came before, whose outcome goes on.
/// What has raised is set aside meanwhile: CPython must not be called while an exception is set.
///
/// # Errors
///
/// That of the outcome, or that of the end, which then has the other one as its context.
pub fn finally<T>(
    outcome: Result<T, Raised>,
    py: Attached<'_>,
    end: impl FnOnce() -> Result<(), Raised>,
) -> Result<T, Raised> {
    let first = match outcome {
        Ok(value) => return end().map(|()| value),
        Err(raised) => raised.take(py),
    };
    let Err(raised) = end() else { return Err(Raised::restore(py, first)) };
    let second = raised.take(py);
    if !second.is(&first) {
        // SAFETY: live exceptions, on an attached thread; the reference to the first is given away.
        unsafe { ffi::PyException_SetContext(second.as_ptr(), first.into_pointer()) };
    }
    Err(Raised::restore(py, second))
}

impl Object<Exception> {
    /// Whether the exception is of the kind, or derives from it.
    pub fn is_kind(&self, kind: ExceptionKind) -> bool {
        // SAFETY: both are live on this attached thread; classes are compared by their order.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.as_ptr(), kind.class()) != 0 }
    }
}

fn is_set(py: Attached<'_>) -> bool {
    let _ = py;
    // SAFETY: on an attached thread.
    unsafe { !ffi::PyErr_Occurred().is_null() }
}

/// Counts a level of nesting against the interpreter's recursion limit until dropped.
pub struct RecursionGuard<'py> {
    py: Attached<'py>,
}

impl<'py> RecursionGuard<'py> {
    /// Goes one level deeper; `place` ends the message, as in `" while encoding JSON"`.
    ///
    /// # Errors
    ///
    /// `RecursionError` at the limit.
    pub fn enter(py: Attached<'py>, place: &CStr) -> Result<RecursionGuard<'py>, Raised> {
        // SAFETY: on an attached thread; `place` is NUL-terminated.
        match unsafe { ffi::Py_EnterRecursiveCall(place.as_ptr()) } {
            0 => Ok(RecursionGuard { py }),
            // Unlike other calls it may answer 1 when it fails.
            _ => Err(Raised::noticed(py)),
        }
    }
}

impl Drop for RecursionGuard<'_> {
    fn drop(&mut self) {
        let _ = self.py;
        // SAFETY: `enter` counted a level on this thread, which the guard has not left.
        unsafe { ffi::Py_LeaveRecursiveCall() };
    }
}
