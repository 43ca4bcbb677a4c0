//! Typed state of a module, found from the module, from a class or from an object.

use std::{
    ffi::{c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::{self, NonNull},
};

use pyo3_ffi as ffi;

use super::{Module, ModuleObject};
use crate::{
    Attached, Borrowed, Class, Instance, InterpreterId, Object, Owned, Raised, Type, Visitor,
    class::trampoline::{guard, report_panic},
};

/// What a module keeps for each interpreter: class handles, names, objects held.
///
/// # Threads
///
/// Reached as `&self` by every thread of its interpreter, one at a time; see [`Class`].
pub trait ModuleState: Send + 'static {
    /// Shows each `Held`, `Slot` and `ClassHandle` of the state to the garbage collector, once.
    /// Nothing of Python may be touched.
    fn traverse(&self, visitor: &mut Visitor<'_>) {
        let _ = visitor;
    }

    /// Empties each `Slot` of the state.
    fn clear(&self, py: Attached<'_>) {
        let _ = py;
    }
}

/// The memory that CPython allocates for the state. Zeroed, so not `ready`, until it is filled.
#[repr(C)]
pub(super) struct Place<S> {
    ready: bool,
    home: InterpreterId,
    value: S,
}

impl<S: ModuleState> Place<S> {
    /// # Safety
    ///
    /// `place` must be zeroed memory for a `Place<S>`.
    pub(super) unsafe fn fill(place: *mut Place<S>, value: S, py: Attached<'_>) {
        // SAFETY: the caller shows memory of the right size.
        unsafe { place.write(Place { ready: true, home: py.interpreter(), value }) };
    }

    /// # Safety
    ///
    /// `module` must be a live module whose definition has a `Place<S>` as its state.
    unsafe fn of(module: *mut ffi::PyObject) -> Option<*mut Place<S>> {
        // SAFETY: a live module.
        let place: *mut Place<S> = unsafe { ffi::PyModule_GetState(module) }.cast();
        // SAFETY: NULL, or memory that was at least zeroed, so that its first byte is a bool.
        (!place.is_null() && unsafe { (*place).ready }).then_some(place)
    }
}

/// The interpreter of a class of ours, or of a module of ours, without asking the thread.
///
/// # Safety
///
/// `class` must be a live type that `ClassSpec` made, on a thread attached to its interpreter.
#[inline]
pub(crate) unsafe fn attached_of_class<'py>(class: *mut ffi::PyTypeObject) -> Attached<'py> {
    // SAFETY: a live type.
    let place: *mut Place<()> = unsafe { ffi::PyType_GetModuleState(class) }.cast();
    if place.is_null() {
        // The collector has taken the class and its module apart.
        // SAFETY: on an attached thread.
        unsafe { ffi::PyErr_Clear() };
    }
    // SAFETY: the types of `ClassSpec` belong to modules of ours, all of which have a `Place`.
    unsafe { attached_of_place(place) }
}

/// # Safety
///
/// `module` must be a live module of ours, on a thread attached to its interpreter.
#[inline]
pub(super) unsafe fn attached_of_module<'py>(module: *mut ffi::PyObject) -> Attached<'py> {
    // SAFETY: a live module of ours, whose state is a `Place`.
    let place: *mut Place<()> = unsafe { ffi::PyModule_GetState(module) }.cast();
    // SAFETY: as above.
    unsafe { attached_of_place(place) }
}

/// # Safety
///
/// `place` must be NULL or the state of a module of ours, on a thread attached to its interpreter.
#[inline]
unsafe fn attached_of_place<'py>(place: *mut Place<()>) -> Attached<'py> {
    // SAFETY: NULL, or at least zeroed; `ready` and `home` come first, whatever the state is.
    if place.is_null() || !unsafe { (*place).ready } {
        // SAFETY: the caller's duty.
        return unsafe { Attached::discover() };
    }
    // SAFETY: filled.
    let home = unsafe { (*place).home };
    // SAFETY: the caller's duty.
    unsafe { Attached::assume(home) }
}

/// `m_traverse`.
pub(super) unsafe extern "C" fn traverse<S: ModuleState>(
    module: *mut ffi::PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: CPython passes a module made from the definition that names this function.
    let Some(place) = (unsafe { Place::<S>::of(module) }) else { return 0 };
    // SAFETY: filled, and dropped with the module only.
    let place = unsafe { &*place };
    // SAFETY: the collector's own arguments, used within this call.
    let mut visitor = unsafe { Visitor::new(place.home, visit, argument) };
    let _ = catch_unwind(AssertUnwindSafe(|| place.value.traverse(&mut visitor)));
    visitor.result()
}

/// `m_clear`.
pub(super) unsafe extern "C" fn clear<S: ModuleState>(module: *mut ffi::PyObject) -> c_int {
    // SAFETY: CPython passes a module made from the definition that names this function.
    let Some(place) = (unsafe { Place::<S>::of(module) }) else { return 0 };
    // SAFETY: filled, and dropped with the module only.
    let place = unsafe { &*place };
    // SAFETY: the collector runs on threads attached to the module's interpreter.
    let py = unsafe { Attached::assume(place.home) };
    guard(py, -1, || {
        place.value.clear(py);
        Ok(0)
    })
}

/// `m_free`.
pub(super) unsafe extern "C" fn free<S: ModuleState>(module: *mut c_void) {
    // SAFETY: CPython passes a module made from the definition that names this function, which is
    // still whole.
    let Some(place) = (unsafe { Place::<S>::of(module.cast()) }) else { return };
    // SAFETY: filled.
    let home = unsafe { (*place).home };
    // SAFETY: modules are freed by threads attached to their interpreter.
    let py = unsafe { Attached::assume(home) };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: filled, and nobody has a reference to the module any more.
        unsafe { &(*place).value }.clear(py);
        // SAFETY: as above; nothing reads the place afterwards.
        unsafe { ptr::drop_in_place(place) };
    }));
    if let Err(panic) = ended {
        report_panic(panic.as_ref(), c"module state", py);
    }
}

impl Object<ModuleObject> {
    /// The state of the module.
    ///
    /// # Errors
    ///
    /// `TypeError` if it is another module, or not initialised.
    #[inline]
    pub fn state<M: Module>(&self, py: Attached<'_>) -> Result<&M::State, Raised> {
        // SAFETY: a live module, kept alive by the borrow of `self`.
        unsafe { state_of::<M>(self.as_ptr(), py) }
    }
}

impl Object<Type> {
    /// The state of the module to which the class belongs.
    ///
    /// # Errors
    ///
    /// `TypeError` if it is a class of another module.
    #[inline]
    pub fn state<M: Module>(&self, py: Attached<'_>) -> Result<&M::State, Raised> {
        // SAFETY: a live type, on an attached thread.
        let module = unsafe { ffi::PyType_GetModule(self.as_ptr().cast()) };
        if module.is_null() {
            return Err(Raised::pending());
        }
        // SAFETY: a live module, kept alive by its class, which the borrow of `self` keeps alive.
        unsafe { state_of::<M>(module, py) }
    }
}

impl<T: Class> Object<Instance<T>> {
    /// The state of the module to which the object's class belongs.
    ///
    /// # Errors
    ///
    /// `TypeError` if it is a class of another module.
    #[inline]
    pub fn state<M: Module>(&self, py: Attached<'_>) -> Result<&M::State, Raised> {
        // SAFETY: instances keep their class, and a class its module.
        let module = unsafe { ffi::PyType_GetModule(self.type_pointer()) };
        if module.is_null() {
            return Err(Raised::pending());
        }
        // SAFETY: a live module, kept alive by the class of `self`.
        unsafe { state_of::<M>(module, py) }
    }
}

impl<T: Class> Object<Instance<T>> {
    /// The module to which the object's class belongs.
    #[inline]
    pub fn module<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, ModuleObject>, Raised> {
        // SAFETY: instances keep their class, and a class its module.
        let module = unsafe { ffi::PyType_GetModule(self.type_pointer()) };
        let Some(module) = NonNull::new(module) else { return Err(Raised::pending()) };
        // SAFETY: a live module, kept alive by the class of `self` until it is counted.
        Ok(unsafe { Borrowed::<ModuleObject>::from_pointer(module) }.to_owned(py))
    }
}

/// # Safety
///
/// `module` must be a live module, kept alive for `'a`.
#[inline]
unsafe fn state_of<'a, M: Module>(
    module: *mut ffi::PyObject,
    py: Attached<'_>,
) -> Result<&'a M::State, Raised> {
    // SAFETY: a live module.
    if unsafe { ffi::PyModule_GetDef(module) } == M::definition().as_ptr() {
        // SAFETY: the definition is that of `M`, whose state is a `Place<M::State>`.
        if let Some(place) = unsafe { Place::<M::State>::of(module) } {
            // SAFETY: filled, and dropped with the module only, which the caller keeps alive.
            return Ok(unsafe { &(*place).value });
        }
    }
    Err(Raised::type_error(py, "not a module of Pyre, or not initialised"))
}
