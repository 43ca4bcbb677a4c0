//! The `Class` trait, and objects that carry a Rust value.
//!
//! Hot path. The value lies in the object itself, behind the header and the interpreter's number.

use std::{
    ffi::CStr,
    marker::PhantomData,
    mem::offset_of,
    ops::Deref,
    ptr::{self, NonNull},
};

use pyo3_ffi as ffi;

use crate::{
    Attached, Borrowed, ClassSpec, Held, InterpreterId, Object, Owned, Raised, Type, Visitor,
};

/// A Rust type whose values are Python objects of a class of their own.
///
/// # Threads
///
/// The value is reached as `&self` by every thread of its interpreter, one at a time under the
/// interpreter's lock; but whenever Python code runs inside a method, another thread may enter
/// one. `Cell` and `RefCell` are therefore sound and enough, and `Send` is asked for because the
/// threads take turns, and the one that drops the value may be any of them. Python objects are
/// kept in [`Held`] and [`Slot`](crate::Slot), which are `Send`:
///
/// ```compile_fail,E0277
/// struct Wrong(std::rc::Rc<u8>);
/// impl pyre_ffi::Class for Wrong {
///     const NAME: &'static std::ffi::CStr = c"wrong.Wrong";
///     const DOC: &'static std::ffi::CStr = c"";
///     fn describe(_: &mut pyre_ffi::ClassSpec<Wrong>) {}
/// }
/// ```
pub trait Class: Sized + Send + 'static {
    /// The qualified name, as in `c"pyreframework.engine.PyreRequest"`.
    const NAME: &'static CStr;

    /// The text of `__doc__`.
    const DOC: &'static CStr;

    /// Whether instances can be referred to weakly, which costs a pointer each.
    const IS_WEAKLY_REFERABLE: bool = false;

    /// Lists what the class has: properties, methods, behaviour.
    fn describe(spec: &mut ClassSpec<Self>);

    /// Shows each `Held` and `Slot` of the value to the garbage collector, once.
    ///
    /// Needed for classes with [`ClassSpec::gc`]. Runs while the collector does: nothing of
    /// Python may be touched, and there is no `py` to do it with. Show only what this value alone
    /// owns, each reference once and the same ones each time: the collector believes that what it
    /// has been shown often enough is garbage, so a reference that is shown and shared, as behind
    /// an `Arc`, may be cleared while it is in use.
    fn traverse(&self, visitor: &mut Visitor<'_>) {
        let _ = visitor;
    }

    /// Empties each `Slot` of the value, to break a cycle, and before the value is dropped.
    fn clear(&self, py: Attached<'_>) {
        let _ = py;
    }
}

/// Marks an object that carries a `T`.
pub struct Instance<T> {
    value: PhantomData<T>,
}

/// An object in memory. Never behind a reference: Python changes the header.
#[repr(C)]
pub(super) struct Layout<T> {
    pub(super) header: ffi::PyObject,
    pub(super) home: InterpreterId,
    pub(super) value: T,
}

impl<T: Class> Layout<T> {
    /// Where the list of weak references to an object stands: behind the rest, if there is one.
    pub(super) const WEAK_LIST: Option<usize> =
        if T::IS_WEAKLY_REFERABLE { Some(offset_of!(Weakly<Self>, weak_list)) } else { None };

    /// The size of an object.
    pub(super) const SIZE: usize =
        if T::IS_WEAKLY_REFERABLE { size_of::<Weakly<Self>>() } else { size_of::<Self>() };
}

/// An object that can be referred to weakly.
#[repr(C)]
pub(super) struct Weakly<L> {
    layout: L,
    /// The list of weak references, which is the interpreter's.
    pub(super) weak_list: *mut ffi::PyObject,
}

impl<T: Class> Instance<T> {
    /// Makes an object that carries `value`.
    ///
    /// # Panics
    ///
    /// If the class belongs to another interpreter.
    #[inline]
    pub fn new<'py>(
        py: Attached<'py>,
        class: &ClassHandle<T>,
        value: T,
    ) -> Result<Owned<'py, Instance<T>>, Raised> {
        let class = class.class.bind(py).as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: `ClassHandle` holds the type that was made for `T`.
        unsafe { Instance::allocate(py, class, value) }
    }

    /// # Safety
    ///
    /// `class` must be a live type that `ClassSpec<T>` made, of the interpreter `py` shows.
    #[inline]
    pub(super) unsafe fn allocate(
        py: Attached<'_>,
        class: *mut ffi::PyTypeObject,
        value: T,
    ) -> Result<Owned<'_, Instance<T>>, Raised> {
        const { assert!(align_of::<Layout<T>>() <= 16, "Python's allocator aligns to 16 bytes") };
        // SAFETY: the caller shows a live type.
        let collected = unsafe { ffi::PyType_HasFeature(class, ffi::Py_TPFLAGS_HAVE_GC) } != 0;
        let object: *mut ffi::PyObject = if collected {
            // SAFETY: a type with the flag, whose instances have the size of its layout.
            unsafe { ffi::PyObject_GC_New(class) }
        } else {
            // SAFETY: a type without the flag, whose instances have the size of its layout.
            unsafe { ffi::PyObject_New(class) }
        };
        let Some(pointer) = NonNull::new(object) else {
            return Err(Raised::pending());
        };
        let layout = object.cast::<Layout<T>>();
        // SAFETY: new memory of the size and alignment of `Layout<T>`, which nobody has seen.
        unsafe { (*layout).home = py.interpreter() };
        // SAFETY: as above; only an address is taken.
        let place = unsafe { &raw mut (*layout).value };
        // SAFETY: as above; there is no value yet that would have to be dropped.
        unsafe { place.write(value) };
        if T::IS_WEAKLY_REFERABLE {
            let weakly = object.cast::<Weakly<Layout<T>>>();
            // SAFETY: such an object has the size of `Weakly<Layout<T>>`, and nobody has seen it.
            unsafe { (*weakly).weak_list = ptr::null_mut() };
        }
        if collected {
            // SAFETY: the object is complete, so the collector may look at it.
            unsafe { ffi::PyObject_GC_Track(object.cast()) };
        }
        // SAFETY: a new reference to an object that carries a `T`.
        Ok(unsafe { Owned::from_pointer(pointer, py) })
    }
}

impl<T: Class> Object<Instance<T>> {
    /// The value that the object carries.
    #[inline(always)]
    pub fn get(&self) -> &T {
        let layout = self.as_ptr().cast::<Layout<T>>();
        // SAFETY: the mark says that a `T` is there. It is dropped with the object only, nobody
        // makes a `&mut` of it before, and the threads that see it take turns (see `Class`).
        unsafe { &(*layout).value }
    }
}

impl<T: Class> Deref for Object<Instance<T>> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.get()
    }
}

impl<'a, T: Class> Borrowed<'a, Instance<T>> {
    /// As [`Object::get`], for as long as the object lives.
    #[inline(always)]
    pub fn into_ref(self) -> &'a T {
        // SAFETY: the value lies in the object, which lives for `'a`.
        unsafe { &*ptr::from_ref(self.get()) }
    }
}

/// The class of a `T` in one interpreter; kept in module state.
pub struct ClassHandle<T> {
    class: Held<Type>,
    value: PhantomData<fn() -> T>,
}

impl<T: Class> ClassHandle<T> {
    /// # Safety
    ///
    /// `class` must be a type that `ClassSpec<T>` made.
    pub(crate) unsafe fn new(py: Attached<'_>, class: Owned<'_, Type>) -> ClassHandle<T> {
        ClassHandle { class: Held::new(py, class), value: PhantomData }
    }

    /// The type object.
    #[inline(always)]
    pub fn object<'a>(&'a self, py: Attached<'a>) -> Borrowed<'a, Type> {
        self.class.bind(py)
    }

    /// The object as one of this class, if it is. Nothing can derive from the class.
    #[inline(always)]
    pub fn cast<'a, U>(
        &self,
        object: &'a Object<U>,
        py: Attached<'_>,
    ) -> Option<&'a Object<Instance<T>>> {
        let exact = object.type_pointer().cast() == self.class.bind(py).as_ptr();
        // SAFETY: the layout does not depend on the marker; objects of this very type carry a `T`.
        exact.then(|| unsafe { &*ptr::from_ref(object).cast::<Object<Instance<T>>>() })
    }

    /// Shows the type to the garbage collector, for module state.
    pub fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.held(&self.class);
    }
}
