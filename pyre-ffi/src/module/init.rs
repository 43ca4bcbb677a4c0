//! Multi-phase initialisation of an extension module, once for each interpreter.

use std::{
    cell::UnsafeCell,
    ffi::{CStr, c_int, c_void},
    marker::PhantomData,
    ptr,
    sync::Once,
};

use pyo3_ffi as ffi;

use super::{ModuleState, state};
use crate::{
    Arguments, Attached, Borrowed, Class, ClassHandle, ClassSpec, Object, Owned, Raised, Str, Type,
    class::trampoline::{Item, conjure, guard, lend},
    import, none,
    object::sealed,
};

/// Marks a module object.
pub enum ModuleObject {}

// SAFETY: `is_instance` asks for the type or what derives from it, which keeps the layout.
unsafe impl sealed::Described for ModuleObject {
    fn type_object() -> *mut ffi::PyTypeObject {
        &raw mut ffi::PyModule_Type
    }

    unsafe fn is_instance(object: *mut ffi::PyObject) -> bool {
        // SAFETY: the caller shows a live object.
        unsafe { ffi::PyModule_Check(object) != 0 }
    }
}

/// An extension module.
pub trait Module: Sized + 'static {
    /// The name, as in `c"engine"`.
    const NAME: &'static CStr;

    /// The text of `__doc__`.
    const DOC: &'static CStr;

    /// What the module keeps for each interpreter.
    type State: ModuleState;

    /// The one definition of the module: a reference to a `static`.
    fn definition() -> &'static ModuleDefinition<Self>;

    /// Fills a new module object and makes its state.
    fn execute<'py>(module: &ModuleBuilder<'py>, py: Attached<'py>) -> Result<Self::State, Raised>;
}

/// What CPython keeps a pointer to for as long as the process runs; lives in a `static`.
#[repr(C)]
pub struct ModuleDefinition<M> {
    definition: UnsafeCell<ffi::PyModuleDef>,
    slots: UnsafeCell<[ffi::PyModuleDef_Slot; 4]>,
    filled: Once,
    module: PhantomData<fn() -> M>,
}

// SAFETY: we write to the cells inside `filled` only; afterwards they are CPython's, which changes
// nothing but a reference count that no longer matters.
unsafe impl<M> Sync for ModuleDefinition<M> {}

impl<M: Module> ModuleDefinition<M> {
    /// An empty definition; [`init`](ModuleDefinition::init) fills it in.
    pub const fn new() -> ModuleDefinition<M> {
        let definition = ffi::PyModuleDef {
            m_base: ffi::PyModuleDef_HEAD_INIT,
            m_name: M::NAME.as_ptr(),
            m_doc: M::DOC.as_ptr(),
            m_size: size_of::<state::Place<M::State>>() as ffi::Py_ssize_t,
            m_methods: ptr::null_mut(),
            m_slots: ptr::null_mut(),
            m_traverse: Some(state::traverse::<M::State>),
            m_clear: Some(state::clear::<M::State>),
            m_free: Some(state::free::<M::State>),
        };
        let end = ffi::PyModuleDef_Slot { slot: 0, value: ptr::null_mut() };
        ModuleDefinition {
            definition: UnsafeCell::new(definition),
            slots: UnsafeCell::new([end; 4]),
            filled: Once::new(),
            module: PhantomData,
        }
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::PyModuleDef {
        self.definition.get()
    }

    /// What the `PyInit_` function returns.
    pub fn init(&'static self) -> *mut c_void {
        const {
            assert!(
                align_of::<state::Place<M::State>>() <= 16,
                "Python's allocator aligns to 16 bytes"
            )
        };
        self.filled.call_once(|| {
            let execute: unsafe extern "C" fn(*mut ffi::PyObject) -> c_int = execute::<M>;
            let slot = |slot, value| ffi::PyModuleDef_Slot { slot, value };
            let slots = [
                slot(ffi::Py_mod_exec, execute as *mut c_void),
                slot(ffi::Py_mod_multiple_interpreters, ffi::Py_MOD_PER_INTERPRETER_GIL_SUPPORTED),
                slot(ffi::Py_mod_gil, ffi::Py_MOD_GIL_USED),
                slot(0, ptr::null_mut()),
            ];
            // SAFETY: `call_once` lets nobody else in, and nobody has seen the definition yet.
            unsafe { self.slots.get().write(slots) };
            // SAFETY: as above.
            unsafe { (*self.definition.get()).m_slots = self.slots.get().cast() };
            // The first call numbers the module; making it in here keeps interpreters with locks
            // of their own from doing so at the same time.
            // SAFETY: a complete definition that lives for ever.
            unsafe { ffi::PyModuleDef_Init(self.definition.get()) };
        });
        // SAFETY: as above.
        unsafe { ffi::PyModuleDef_Init(self.definition.get()) }.cast()
    }

    /// Makes the module in this interpreter without a shared library, and puts it into
    /// `sys.modules`; for tests and benches.
    pub fn install<'py>(
        &'static self,
        py: Attached<'py>,
    ) -> Result<Owned<'py, ModuleObject>, Raised> {
        let name = Str::new(py, &M::NAME.to_string_lossy())?;
        let machinery = import(py, "importlib.machinery")?;
        let spec =
            machinery.attr(&*Str::new(py, "ModuleSpec")?, py)?.call2(&name, &none(py), py)?;
        self.init();
        // SAFETY: the definition is complete, and the spec has a name; on an attached thread.
        let module = unsafe { ffi::PyModule_FromDefAndSpec(self.definition.get(), spec.as_ptr()) };
        // SAFETY: a new reference to a module (we define no other way to create one), or NULL with
        // an exception set.
        let module: Owned<'py, ModuleObject> = unsafe { Owned::or_raised(module, py) }?;
        // SAFETY: a new module made from this very definition.
        let result = unsafe { ffi::PyModule_ExecDef(module.as_ptr(), self.definition.get()) };
        Raised::check(result, py)?;
        import(py, "sys")?.attr(&*Str::new(py, "modules")?, py)?.set_item(&name, &module, py)?;
        Ok(module)
    }
}

impl<M: Module> Default for ModuleDefinition<M> {
    fn default() -> ModuleDefinition<M> {
        ModuleDefinition::new()
    }
}

/// `Py_mod_exec`.
unsafe extern "C" fn execute<M: Module>(module: *mut ffi::PyObject) -> c_int {
    // SAFETY: CPython imports modules on attached threads.
    let py = unsafe { Attached::discover() };
    // SAFETY: lent by CPython for this call.
    let object: Borrowed<'_, ModuleObject> = unsafe { lend(module) };
    guard(py, -1, || {
        crate::layout::check(py)?;
        let state = M::execute(&ModuleBuilder { module: object, py }, py)?;
        // SAFETY: a live module.
        let place: *mut state::Place<M::State> = unsafe { ffi::PyModule_GetState(module) }.cast();
        // SAFETY: CPython allocated and zeroed the place before it called, and calls once.
        unsafe { state::Place::fill(place, state, py) };
        Ok(0)
    })
}

/// A module object that is being filled.
pub struct ModuleBuilder<'py> {
    module: Borrowed<'py, ModuleObject>,
    py: Attached<'py>,
}

impl<'py> ModuleBuilder<'py> {
    /// The module object.
    pub fn object(&self) -> Borrowed<'py, ModuleObject> {
        self.module
    }

    /// Makes the class of `T`, and adds it under the last part of its name.
    pub fn class<T: Class>(&self) -> Result<ClassHandle<T>, Raised> {
        let (class, handle) = ClassSpec::<T>::build(self.py, &self.module)?;
        // SAFETY: a live module and a live type, on an attached thread.
        let result = unsafe { ffi::PyModule_AddType(self.module.as_ptr(), class.as_ptr().cast()) };
        Raised::check(result, self.py)?;
        Ok(handle)
    }

    /// Makes the class of `T` without showing it in the module.
    pub fn hidden_class<T: Class>(&self) -> Result<ClassHandle<T>, Raised> {
        ClassSpec::<T>::build(self.py, &self.module).map(|(_, handle)| handle)
    }

    /// Makes a class of exceptions, and adds it. The name is qualified, as in
    /// `"pyreframework.engine.StartError"`.
    pub fn exception<B>(
        &self,
        name: &'static CStr,
        doc: &'static CStr,
        base: &Object<B>,
    ) -> Result<Owned<'py, Type>, Raised> {
        // SAFETY: NUL-terminated texts and a live object, on an attached thread.
        let class = unsafe {
            ffi::PyErr_NewExceptionWithDoc(
                name.as_ptr(),
                doc.as_ptr(),
                base.as_ptr(),
                ptr::null_mut(),
            )
        };
        // SAFETY: a new reference to a type, or NULL with an exception set.
        let class: Owned<'py, Type> = unsafe { Owned::or_raised(class, self.py) }?;
        // SAFETY: a live module and a live type, on an attached thread.
        let result = unsafe { ffi::PyModule_AddType(self.module.as_ptr(), class.as_ptr().cast()) };
        Raised::check(result, self.py)?;
        Ok(class)
    }

    /// Adds a function; it gets the module, to find its state.
    pub fn function<F>(
        &self,
        name: &'static CStr,
        doc: &'static CStr,
        call: F,
    ) -> Result<(), Raised>
    where
        F: Item
            + for<'a, 'b> Fn(
                &'a Object<ModuleObject>,
                Attached<'b>,
                Arguments<'a>,
            ) -> Result<Owned<'b>, Raised>,
    {
        let _ = call;
        // Function objects keep a pointer to this and may outlive the module.
        let table = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function::<F> },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: doc.as_ptr(),
        }));
        // SAFETY: a live module, on an attached thread.
        let qualifier = unsafe { ffi::PyModule_GetNameObject(self.module.as_ptr()) };
        // SAFETY: a new reference to a str, or NULL with an exception set.
        let qualifier: Owned<'_, Str> = unsafe { Owned::or_raised(qualifier, self.py) }?;
        // SAFETY: a table that is never freed, with a live module as the receiver.
        let object =
            unsafe { ffi::PyCFunction_NewEx(table, self.module.as_ptr(), qualifier.as_ptr()) };
        // SAFETY: a new reference, or NULL with an exception set.
        let object: Owned<'_> = unsafe { Owned::or_raised(object, self.py) }?;
        self.add(name, &object)
    }

    /// Adds an attribute.
    pub fn add<T>(&self, name: &CStr, value: &Object<T>) -> Result<(), Raised> {
        let (module, value) = (self.module.as_ptr(), value.as_ptr());
        // SAFETY: a live module and a live object, on an attached thread.
        let result = unsafe { ffi::PyModule_AddObjectRef(module, name.as_ptr(), value) };
        Raised::check(result, self.py)
    }
}

/// `METH_FASTCALL | METH_KEYWORDS` of a module.
unsafe extern "C" fn function<F>(
    module: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item
        + for<'a, 'b> Fn(
            &'a Object<ModuleObject>,
            Attached<'b>,
            Arguments<'a>,
        ) -> Result<Owned<'b>, Raised>,
{
    // SAFETY: functions are called on attached threads only, and this one was added to a module
    // of ours.
    let py = unsafe { state::attached_of_module(module) };
    // SAFETY: lent by CPython for this call.
    let object: Borrowed<'_, ModuleObject> = unsafe { lend(module) };
    // SAFETY: lent by CPython for this call.
    let arguments = unsafe { Arguments::from_vectorcall(values, count as usize, names) };
    guard(py, ptr::null_mut(), || conjure::<F>()(&object, py, arguments).map(Owned::into_pointer))
}
