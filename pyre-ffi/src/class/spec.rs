//! What a class has, collected in safe Rust and turned into a type.

use std::{
    ffi::{CStr, c_int, c_uint, c_void},
    marker::PhantomData,
    ptr,
};

use pyo3_ffi as ffi;

use super::{
    Arguments, Class, ClassHandle, Instance, collect, instance::Layout, slots, trampoline::Item,
};
use crate::{Attached, Object, Owned, Raised, Str, Type};

/// The list of what a class has; filled in by [`Class::describe`].
///
/// Functions are passed as function items or closures without captures.
pub struct ClassSpec<T> {
    properties: Vec<ffi::PyGetSetDef>,
    methods: Vec<ffi::PyMethodDef>,
    slots: Vec<ffi::PyType_Slot>,
    vectorcall: Option<ffi::vectorcallfunc>,
    collected: bool,
    value: PhantomData<fn(T)>,
}

impl<T: Class> ClassSpec<T> {
    /// A read-only attribute.
    pub fn getter<F>(&mut self, name: &'static CStr, doc: &'static CStr, get: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
    {
        let _ = get;
        self.add_property(name, doc, slots::getter::<T, F>, None)
    }

    /// An attribute that can be read and set, but not deleted.
    pub fn property<F, G>(
        &mut self,
        name: &'static CStr,
        doc: &'static CStr,
        get: F,
        set: G,
    ) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
        G: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<(), Raised>,
    {
        let _ = (get, set);
        self.add_property(name, doc, slots::getter::<T, F>, Some(slots::setter::<T, G>))
    }

    /// As [`property`](Self::property), for reading that needs the object itself, to find its
    /// module.
    pub fn bound_property<F, G>(
        &mut self,
        name: &'static CStr,
        doc: &'static CStr,
        get: F,
        set: G,
    ) -> &mut Self
    where
        F: Item
            + for<'a, 'py> Fn(&'a Object<Instance<T>>, Attached<'py>) -> Result<Owned<'py>, Raised>,
        G: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<(), Raised>,
    {
        let _ = (get, set);
        self.add_property(name, doc, slots::getter_bound::<T, F>, Some(slots::setter::<T, G>))
    }

    /// A method without arguments. The documentation may begin with a signature line, as in
    /// `c"json($self, /)\n--\n\nThe body, parsed."`.
    pub fn method0<F>(&mut self, name: &'static CStr, doc: &'static CStr, call: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
    {
        let _ = call;
        let pointer = ffi::PyMethodDefPointer { PyCFunction: slots::call0::<T, F> };
        self.add_method(name, doc, pointer, ffi::METH_NOARGS)
    }

    /// A method.
    pub fn method<F>(&mut self, name: &'static CStr, doc: &'static CStr, call: F) -> &mut Self
    where
        F: Item
            + for<'a, 'py> Fn(&'a T, Attached<'py>, Arguments<'a>) -> Result<Owned<'py>, Raised>,
    {
        let _ = call;
        let pointer = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: slots::call::<T, F> };
        self.add_method(name, doc, pointer, ffi::METH_FASTCALL | ffi::METH_KEYWORDS)
    }

    /// A method that gets the object itself, to return it, keep it or find its module's state.
    pub fn bound_method<F>(&mut self, name: &'static CStr, doc: &'static CStr, call: F) -> &mut Self
    where
        F: Item
            + for<'a, 'py> Fn(
                &'a Object<Instance<T>>,
                Attached<'py>,
                Arguments<'a>,
            ) -> Result<Owned<'py>, Raised>,
    {
        let _ = call;
        let pointer =
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: slots::call_bound::<T, F> };
        self.add_method(name, doc, pointer, ffi::METH_FASTCALL | ffi::METH_KEYWORDS)
    }

    /// A method of the class, without an instance: `Class.name(...)`.
    pub fn class_method<F>(&mut self, name: &'static CStr, doc: &'static CStr, call: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(Attached<'py>, Arguments<'a>) -> Result<Owned<'py>, Raised>,
    {
        let _ = call;
        let pointer =
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: slots::call_class::<F> };
        let flags = ffi::METH_FASTCALL | ffi::METH_KEYWORDS | ffi::METH_CLASS;
        self.add_method(name, doc, pointer, flags)
    }

    /// What calling the class does; without it Python code cannot make instances. The last
    /// argument is the class, to find its module's state.
    pub fn constructor<F>(&mut self, make: F) -> &mut Self
    where
        F: Item
            + for<'a, 'py> Fn(Attached<'py>, Arguments<'a>, &'a Object<Type>) -> Result<T, Raised>,
    {
        let _ = make;
        let construct: ffi::vectorcallfunc = slots::construct::<T, F>;
        self.vectorcall = Some(construct);
        let new: ffi::newfunc = slots::new::<T, F>;
        self.add_slot(ffi::Py_tp_new, new as *mut c_void)
    }

    /// `repr(object)`.
    pub fn repr<F>(&mut self, repr: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py, Str>, Raised>,
    {
        let _ = repr;
        let text: ffi::reprfunc = slots::text::<T, F>;
        self.add_slot(ffi::Py_tp_repr, text as *mut c_void)
    }

    /// `object == other`; nothing means that the other side may know.
    pub fn equals<F>(&mut self, equals: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<Option<bool>, Raised>,
    {
        let _ = equals;
        let compare: ffi::richcmpfunc = slots::equals::<T, F>;
        self.add_slot(ffi::Py_tp_richcompare, compare as *mut c_void)
    }

    /// `len(object)`.
    pub fn length<F>(&mut self, length: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<usize, Raised>,
    {
        let _ = length;
        let length: ffi::lenfunc = slots::length::<T, F>;
        self.add_slot(ffi::Py_mp_length, length as *mut c_void)
    }

    /// `object[key]`.
    pub fn item<F>(&mut self, item: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<Owned<'py>, Raised>,
    {
        let _ = item;
        let item: ffi::binaryfunc = slots::item::<T, F>;
        self.add_slot(ffi::Py_mp_subscript, item as *mut c_void)
    }

    /// `object[key] = value`, and `del object[key]` when there is no value.
    pub fn assign_item<F>(&mut self, assign: F) -> &mut Self
    where
        F: Item
            + for<'a, 'py> Fn(
                &'a T,
                Attached<'py>,
                &'a Object,
                Option<&'a Object>,
            ) -> Result<(), Raised>,
    {
        let _ = assign;
        let assign: ffi::objobjargproc = slots::assign::<T, F>;
        self.add_slot(ffi::Py_mp_ass_subscript, assign as *mut c_void)
    }

    /// `key in object`.
    pub fn contains<F>(&mut self, contains: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<bool, Raised>,
    {
        let _ = contains;
        let contains: ffi::objobjproc = slots::contains::<T, F>;
        self.add_slot(ffi::Py_sq_contains, contains as *mut c_void)
    }

    /// `iter(object)`.
    pub fn iterate<F>(&mut self, iterate: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
    {
        let _ = iterate;
        let iterate: ffi::getiterfunc = slots::iterate::<T, F>;
        self.add_slot(ffi::Py_tp_iter, iterate as *mut c_void)
    }

    /// `next(object)`, and `iter(object)` is the object itself.
    pub fn next<F>(&mut self, next: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Option<Owned<'py>>, Raised>,
    {
        let _ = next;
        let next: ffi::iternextfunc = slots::next::<T, F>;
        let itself: ffi::getiterfunc = ffi::PyObject_SelfIter;
        self.add_slot(ffi::Py_tp_iter, itself as *mut c_void);
        self.add_slot(ffi::Py_tp_iternext, next as *mut c_void)
    }

    /// As [`next`](Self::next), for iterators that give out themselves.
    pub fn bound_next<F>(&mut self, next: F) -> &mut Self
    where
        F: Item
            + for<'a, 'py> Fn(
                &'a Object<Instance<T>>,
                Attached<'py>,
            ) -> Result<Option<Owned<'py>>, Raised>,
    {
        let _ = next;
        let next: ffi::iternextfunc = slots::next_bound::<T, F>;
        let itself: ffi::getiterfunc = ffi::PyObject_SelfIter;
        self.add_slot(ffi::Py_tp_iter, itself as *mut c_void);
        self.add_slot(ffi::Py_tp_iternext, next as *mut c_void)
    }

    /// `await object`: what this gives is iterated, and so has [`next`](Self::next).
    pub fn awaits<F>(&mut self, awaited: F) -> &mut Self
    where
        F: Item
            + for<'a, 'py> Fn(&'a Object<Instance<T>>, Attached<'py>) -> Result<Owned<'py>, Raised>,
    {
        let _ = awaited;
        let awaited: ffi::unaryfunc = slots::unary::<T, F>;
        self.add_slot(ffi::Py_am_await, awaited as *mut c_void)
    }

    /// `async for`: each time, what this gives is awaited; the iterator is the object itself.
    pub fn async_next<F>(&mut self, next: F) -> &mut Self
    where
        F: Item
            + for<'a, 'py> Fn(&'a Object<Instance<T>>, Attached<'py>) -> Result<Owned<'py>, Raised>,
    {
        let _ = next;
        let next: ffi::unaryfunc = slots::unary::<T, F>;
        let itself: ffi::unaryfunc = ffi::PyObject_SelfIter;
        self.add_slot(ffi::Py_am_aiter, itself as *mut c_void);
        self.add_slot(ffi::Py_am_anext, next as *mut c_void)
    }

    /// The bytes that `memoryview(object)` shows, which cannot be written to.
    pub fn buffer<F>(&mut self, bytes: F) -> &mut Self
    where
        F: Item + for<'a> Fn(&'a T) -> &'a [u8],
    {
        let _ = bytes;
        let buffer: ffi::getbufferproc = slots::buffer::<T, F>;
        self.add_slot(ffi::Py_bf_getbuffer, buffer as *mut c_void)
    }

    /// The object whose bytes `memoryview(object)` shows, and which the view keeps alive.
    pub fn buffer_of<F>(&mut self, owner: F) -> &mut Self
    where
        F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
    {
        let _ = owner;
        let buffer: ffi::getbufferproc = slots::buffer_of::<T, F>;
        self.add_slot(ffi::Py_bf_getbuffer, buffer as *mut c_void)
    }

    /// Takes part in garbage collection; [`Class::traverse`] and [`Class::clear`] must be there.
    pub fn gc(&mut self) -> &mut Self {
        self.collected = true;
        let traverse: ffi::traverseproc = collect::traverse::<T>;
        let clear: ffi::inquiry = collect::clear::<T>;
        self.add_slot(ffi::Py_tp_traverse, traverse as *mut c_void);
        self.add_slot(ffi::Py_tp_clear, clear as *mut c_void)
    }

    fn add_property(
        &mut self,
        name: &'static CStr,
        doc: &'static CStr,
        get: ffi::getter,
        set: Option<ffi::setter>,
    ) -> &mut Self {
        self.properties.push(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(get),
            set,
            doc: doc.as_ptr(),
            closure: ptr::null_mut(),
        });
        self
    }

    fn add_method(
        &mut self,
        name: &'static CStr,
        doc: &'static CStr,
        ml_meth: ffi::PyMethodDefPointer,
        ml_flags: c_int,
    ) -> &mut Self {
        let (ml_name, ml_doc) = (name.as_ptr(), doc.as_ptr());
        self.methods.push(ffi::PyMethodDef { ml_name, ml_meth, ml_flags, ml_doc });
        self
    }

    fn add_slot(&mut self, slot: c_int, pfunc: *mut c_void) -> &mut Self {
        self.slots.push(ffi::PyType_Slot { slot, pfunc });
        self
    }

    /// Makes the class of `T` in the interpreter of `py`, as a part of `module`.
    pub(crate) fn build<'py>(
        py: Attached<'py>,
        module: &Object<crate::module::ModuleObject>,
    ) -> Result<(Owned<'py, Type>, ClassHandle<T>), Raised> {
        let mut spec = ClassSpec::<T> {
            properties: Vec::new(),
            methods: Vec::new(),
            slots: Vec::new(),
            vectorcall: None,
            collected: false,
            value: PhantomData,
        };
        T::describe(&mut spec);
        let class = spec.make_type(py, module)?;
        // SAFETY: made from the description of `T` on the line above.
        let handle = unsafe { ClassHandle::new(py, class.clone()) };
        Ok((class, handle))
    }

    fn make_type<'py>(
        mut self,
        py: Attached<'py>,
        module: &Object<crate::module::ModuleObject>,
    ) -> Result<Owned<'py, Type>, Raised> {
        // Types keep pointers into the tables for as long as anything refers to them, which may
        // be until the process ends; so the tables are leaked, once for each interpreter.
        self.methods.push(ffi::PyMethodDef::zeroed());
        let methods: *mut ffi::PyMethodDef =
            Box::leak(self.methods.into_boxed_slice()).as_mut_ptr();
        self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: methods.cast() });

        self.properties.push(ffi::PyGetSetDef::default());
        let properties = Box::leak(self.properties.into_boxed_slice()).as_mut_ptr();
        self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_getset, pfunc: properties.cast() });

        if let Some(offset) = Layout::<T>::WEAK_LIST {
            let weak_list = ffi::PyMemberDef {
                name: c"__weaklistoffset__".as_ptr(),
                type_code: ffi::Py_T_PYSSIZET,
                offset: offset.cast_signed(),
                flags: ffi::Py_READONLY,
                doc: ptr::null(),
            };
            let members = Box::leak(Box::new([weak_list, ffi::PyMemberDef::default()]));
            let members = members.as_mut_ptr().cast();
            self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_members, pfunc: members });
        }

        let doc = T::DOC.as_ptr().cast_mut().cast();
        self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_doc, pfunc: doc });
        let deallocate: ffi::destructor = collect::deallocate::<T>;
        let deallocate = deallocate as *mut c_void;
        self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: deallocate });
        self.slots.push(ffi::PyType_Slot::default());

        let mut flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_IMMUTABLETYPE;
        if self.collected {
            flags |= ffi::Py_TPFLAGS_HAVE_GC;
        }
        if self.vectorcall.is_none() {
            flags |= ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        }
        let mut spec = ffi::PyType_Spec {
            name: T::NAME.as_ptr(),
            basicsize: c_int::try_from(Layout::<T>::SIZE).expect("instances are small"),
            itemsize: 0,
            flags: c_uint::try_from(flags).expect("the flags of a spec have 32 bits"),
            slots: self.slots.as_mut_ptr(),
        };
        // SAFETY: a complete description whose functions are made for `Layout<T>`, which is no larger than the
        // size given; the tables are never freed; a live module, on an attached thread.
        let class = unsafe {
            ffi::PyType_FromModuleAndSpec(module.as_ptr(), &raw mut spec, ptr::null_mut())
        };
        // SAFETY: a new reference to a type, or NULL with an exception set.
        let class: Owned<'py, Type> = unsafe { Owned::or_raised(class, py) }?;
        // There is no slot for it before 3.14. Nobody has seen the type yet.
        // SAFETY: a live type that is ours; the function is made for it.
        unsafe { (*class.as_ptr().cast::<ffi::PyTypeObject>()).tp_vectorcall = self.vectorcall };
        Ok(class)
    }
}
