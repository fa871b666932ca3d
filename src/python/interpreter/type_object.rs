//! Creating a type from its slots and tables.

#![allow(unsafe_code)] // Fills the tables that CPython reads.

use super::instance::{HasFields, Instance, TypedObject, dealloc, traverse};
use super::methods::{Getter, Method, Slot};
use super::{ErrorSet, Owned, ffi};
use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A type that is made once, when the module is imported, and lives as long as the process.
pub(crate) struct TypeHandle(AtomicPtr<ffi::PyTypeObject>);

/// The parts of a type whose instances are seen as `T`.
pub(crate) struct TypeSpec<T> {
    pub(crate) name: &'static CStr,
    pub(crate) doc: Option<&'static CStr>,
    pub(crate) flags: c_ulong,
    pub(crate) slots: Vec<Slot<T>>,
    pub(crate) methods: Vec<Method<T>>,
    pub(crate) getters: Vec<Getter<T>>,
    pub(crate) members: Vec<Member<T>>,
}

impl<T> Default for TypeSpec<T> {
    fn default() -> Self {
        Self {
            name: c"",
            doc: None,
            flags: 0,
            slots: Vec::new(),
            methods: Vec::new(),
            getters: Vec::new(),
            members: Vec::new(),
        }
    }
}

/// A field of instances that CPython reads, such as a list of weak references.
pub(crate) struct Member<T>(ffi::PyMemberDef, PhantomData<fn(&T)>);

impl<T> Member<T> {
    /// An attribute of instances, the reference at `offset`.
    ///
    /// # Safety
    ///
    /// Instances have an `Owned` there, which does not change.
    pub(crate) unsafe fn object_at(offset: usize, name: &'static CStr, doc: &'static CStr) -> Self {
        let row = ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_OBJECT_EX,
            offset: offset as isize,
            flags: ffi::Py_READONLY,
            doc: doc.as_ptr(),
        };
        Self(row, PhantomData)
    }

    /// The offset of a field for which CPython looks under a special name.
    ///
    /// # Safety
    ///
    /// Instances have a field there of the type that belongs to the name.
    pub(crate) unsafe fn offset(name: &'static CStr, offset: usize) -> Self {
        let row = ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset as isize,
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        };
        Self(row, PhantomData)
    }
}

/// A row of [`TypeSpec::members`] for a field that is an `Owned`.
macro_rules! member {
    ($fields:ty, $field:ident, $name:expr, $doc:expr) => {{
        type Memory = $crate::python::interpreter::instance::Instance<$fields>;
        let _: fn(&$fields) -> &$crate::python::interpreter::Owned = |fields| &fields.$field;
        let offset = std::mem::offset_of!(Memory, fields) + std::mem::offset_of!($fields, $field);
        #[allow(unsafe_code)] // The line above proves the contract: the field is an `Owned`.
        // SAFETY: the offset is that of the field in an instance; the field is an `Owned`.
        unsafe {
            $crate::python::interpreter::type_object::Member::object_at(offset, $name, $doc)
        }
    }};
}
pub(crate) use member;

impl TypeHandle {
    pub(crate) const fn unset() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyTypeObject {
        self.0.load(Ordering::Relaxed)
    }

    /// The type as an object, once it is made.
    pub(crate) fn object(&self) -> Owned {
        // SAFETY: the import of the module has made the type, and the handle keeps it alive.
        unsafe { Owned::from_borrowed(self.as_ptr().cast()) }
    }

    /// Whether `object` is an instance of the type itself.
    #[inline(always)]
    pub(crate) fn is_type_of(&self, object: &Owned) -> bool {
        // SAFETY: a reference keeps the object alive, which has a type.
        unsafe { ptr::eq(ffi::Py_TYPE(object.as_ptr()), self.as_ptr()) }
    }

    /// Whether `object` is an instance of the type or of a subclass.
    #[inline(always)]
    pub(crate) fn is_base_of(&self, object: &Owned) -> bool {
        // SAFETY: a reference keeps the object alive, which has a type. The handle keeps the other
        // type alive. The function only reads them.
        unsafe { ffi::PyType_IsSubtype(ffi::Py_TYPE(object.as_ptr()), self.as_ptr()) != 0 }
    }

    /// Gives the type an attribute, which Python code cannot do, since the type is immutable.
    pub(crate) fn set_attribute(&self, name: &'static CStr, value: &Owned) -> Result<(), ErrorSet> {
        // SAFETY: the type is made, so it has a dict, to which no other thread has access during
        // the import of the module. The value is alive, and the name ends with a null byte.
        let result = unsafe {
            let dict = (*self.as_ptr()).tp_dict;
            let result = ffi::PyDict_SetItemString(dict, name.as_ptr(), value.as_ptr());
            ffi::PyType_Modified(self.as_ptr());
            result
        };
        super::checked(result).map(drop)
    }

    /// Makes a type whose instances are made by [`create`](super::instance::create).
    pub(crate) fn make_with_fields<T: HasFields>(
        &self,
        mut spec: TypeSpec<T>,
    ) -> Result<(), ErrorSet> {
        // SAFETY: both functions work on instances with the fields of `T`, and `WEAK_REFERENCES`
        // is the offset of their list of weak references. The size is that of such an instance.
        unsafe {
            spec.slots.push(Slot::raw(ffi::Py_tp_dealloc, dealloc::<T> as *mut c_void));
            spec.slots.push(Slot::raw(ffi::Py_tp_traverse, traverse::<T> as *mut c_void));
            if let Some(offset) = T::WEAK_REFERENCES {
                spec.members.push(Member::offset(c"__weaklistoffset__", offset));
            }
            self.make(size_of::<Instance<T::Fields>>(), 0, spec)
        }
    }

    /// Makes the type: immutable, visible to the garbage collector, not to be subclassed unless a
    /// flag allows it.
    ///
    /// # Safety
    ///
    /// `size` is that of an instance, which begins with `PyObject`, and `item_size` that of the
    /// items behind it. `T` accepts the instances, and the slots contain `tp_dealloc` and
    /// `tp_traverse`.
    pub(crate) unsafe fn make<T: TypedObject>(
        &self,
        size: usize,
        item_size: usize,
        spec: TypeSpec<T>,
    ) -> Result<(), ErrorSet> {
        let TypeSpec { name, doc, flags, slots, methods, getters, members } = spec;
        let row = |slot, pfunc| ffi::PyType_Slot { slot, pfunc };
        let mut rows: Vec<_> = slots.iter().map(|slot| row(slot.0, slot.1)).collect();
        // CPython keeps the pointers to these tables. A row of zeros ends each table.
        if !methods.is_empty() {
            let mut table: Vec<_> = methods.into_iter().map(|method| method.0).collect();
            table.push(ffi::PyMethodDef::zeroed());
            rows.push(row(ffi::Py_tp_methods, leaked(table)));
        }
        if !getters.is_empty() {
            let mut table: Vec<_> = getters.into_iter().map(|getter| getter.0).collect();
            table.push(ffi::PyGetSetDef::default());
            rows.push(row(ffi::Py_tp_getset, leaked(table)));
        }
        if !members.is_empty() {
            let mut table: Vec<_> = members.into_iter().map(|member| member.0).collect();
            table.push(ffi::PyMemberDef::default());
            rows.push(row(ffi::Py_tp_members, leaked(table)));
        }
        if let Some(doc) = doc {
            rows.push(row(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()));
        }
        rows.push(row(0, ptr::null_mut()));
        let flags = flags
            | ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_HAVE_GC
            | ffi::Py_TPFLAGS_IMMUTABLETYPE;
        let spec = ffi::PyType_Spec {
            name: name.as_ptr(),
            basicsize: size as c_int,
            itemsize: item_size as c_int,
            flags: flags as u32,
            slots: rows.as_mut_ptr(),
        };
        // SAFETY: the slots end with a row of zeros, and each has a function or table of the type
        // that its number asks for, by the contracts of `Slot` and of this function.
        unsafe { self.make_of(spec, None) }
    }

    /// Makes a metaclass: an immutable subclass of `type` that can be subclassed.
    pub(crate) fn make_metaclass<T: TypedObject>(
        &self,
        name: &'static CStr,
        doc: &'static CStr,
        slots: Vec<Slot<T>>,
    ) -> Result<(), ErrorSet> {
        let row = |slot, pfunc| ffi::PyType_Slot { slot, pfunc };
        let mut rows: Vec<_> = slots.iter().map(|slot| row(slot.0, slot.1)).collect();
        rows.push(row(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()));
        rows.push(row(0, ptr::null_mut()));
        let flags =
            ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE | ffi::Py_TPFLAGS_IMMUTABLETYPE;
        // The sizes, and the functions for the garbage collector, are those of `type`.
        let spec = ffi::PyType_Spec {
            name: name.as_ptr(),
            basicsize: 0,
            itemsize: 0,
            flags: flags as u32,
            slots: rows.as_mut_ptr(),
        };
        // SAFETY: the slots end with a row of zeros, and each has a function of the type that its
        // number asks for, by the contract of `Slot`. `type` lives as long as the interpreter.
        unsafe {
            let base = Owned::from_borrowed((&raw mut ffi::PyType_Type).cast());
            self.make_of(spec, Some(&base))
        }
    }

    /// # Safety
    ///
    /// The specification is right for a subclass of the base, or of `object`.
    unsafe fn make_of(
        &self,
        mut spec: ffi::PyType_Spec,
        base: Option<&Owned>,
    ) -> Result<(), ErrorSet> {
        let bases = base.map(|base| Owned::tuple([base])).transpose()?;
        let bases = bases.as_ref().map_or(ptr::null_mut(), Owned::as_ptr);
        // SAFETY: CPython copies the specification, which is right by the contract of this
        // function. The bases are a tuple, or null for `object`.
        let class = unsafe { ffi::PyType_FromSpecWithBases(&raw mut spec, bases) };
        if class.is_null() {
            // CPython 3.11 sets no exception if it has no memory for the name.
            if !super::error::is_exception_set() {
                return Err(no_memory());
            }
            return Err(ErrorSet);
        }
        self.0.store(class.cast(), Ordering::Relaxed);
        Ok(())
    }
}

/// Raises `MemoryError`.
#[cold]
pub(crate) fn no_memory() -> ErrorSet {
    // SAFETY: the function only sets the exception of the thread, which exists in advance.
    unsafe { ffi::PyErr_NoMemory() };
    ErrorSet
}

/// Replaces the function of a method of `T`'s type by that of another row.
///
/// CPython reads the function at each call, so a method that is called often need not find out itself
/// whether it shall do something else.
pub(crate) fn replace_method<T: TypedObject>(class: &TypeHandle, other: &Method<T>) {
    // SAFETY: the type is made, and has a table of methods, which is writable and never freed. The
    // function takes the same arguments, because the flags are equal, and instances of the same type.
    // The pointer to it is the whole union.
    unsafe {
        let name = CStr::from_ptr(other.0.ml_name);
        if let Some(row) = method_row(class.as_ptr(), name, other.0.ml_flags) {
            let place = (&raw mut row.ml_meth).cast::<*mut c_void>();
            let function = (&raw const other.0.ml_meth).cast::<*mut c_void>().read();
            AtomicPtr::from_ptr(place).store(function, Ordering::Relaxed);
        }
    }
}

/// The row of a method in the table of a type, if the method is called with `flags`.
///
/// # Safety
///
/// `class` is a class with a table of methods.
pub(crate) unsafe fn method_row<'a>(
    class: *mut ffi::PyTypeObject,
    name: &CStr,
    flags: c_int,
) -> Option<&'a mut ffi::PyMethodDef> {
    // SAFETY: a row without a name ends the table of a type, and names end with a null byte.
    unsafe {
        let mut row = (*class).tp_methods;
        while !(*row).ml_name.is_null() {
            if CStr::from_ptr((*row).ml_name) == name {
                return ((*row).ml_flags == flags).then(|| &mut *row);
            }
            row = row.add(1);
        }
        None
    }
}

/// A table that CPython keeps a pointer to for the rest of the process.
pub(crate) fn leaked<T>(rows: Vec<T>) -> *mut c_void {
    Box::leak(rows.into_boxed_slice()).as_mut_ptr().cast()
}

/// `__reduce__` of a type whose instances cannot be pickled. Without it, older protocols would
/// write a pickle that cannot be read.
pub(crate) fn not_to_be_pickled<T: TypedObject>() -> Method<T> {
    let doc = c"__reduce__($self, /)\n--\n\nRaise TypeError: it cannot be pickled.";
    let reduce = |this: &T| -> Result<Owned, ErrorSet> {
        // SAFETY: the format takes one C string, the name of the type, which the object keeps
        // alive.
        unsafe {
            ffi::calling!(PyErr_Format(
                ffi::PyExc_TypeError,
                c"cannot pickle '%.200s' object".as_ptr(),
                this.type_name().as_ptr(),
            ));
        }
        Err(ErrorSet)
    };
    Method::without_arguments(c"__reduce__", reduce, doc)
}

/// `__class_getitem__`, as all generic classes of CPython have it.
pub(crate) fn class_getitem<T: TypedObject>() -> Method<T> {
    let call = ffi::PyMethodDefPointer { PyCFunction: ffi::slot::Py_GenericAlias };
    // CPython 3.13 added the text signature to all classes.
    let doc = if cfg!(Py_3_13) {
        c"__class_getitem__($type, object, /)\n--\n\nSee PEP 585"
    } else {
        c"See PEP 585"
    };
    // SAFETY: `Py_GenericAlias` takes the type and one argument, as the flags say.
    unsafe { Method::raw(c"__class_getitem__", call, ffi::METH_O | ffi::METH_CLASS, doc) }
}

/// A function of the module, which Python code finds in `ctxvars`.
pub(crate) fn function(module: &Owned, row: ffi::PyMethodDef) -> Result<Owned, ErrorSet> {
    // SAFETY: the text ends with a null byte, the module is alive, and the row is never freed. Both
    // calls return a new reference, or null with an exception set.
    unsafe {
        let name = Owned::new(ffi::PyUnicode_InternFromString(c"ctxvars".as_ptr()))?;
        let row = leaked(vec![row]).cast();
        Owned::new(ffi::PyCFunction_NewEx(row, module.as_ptr(), name.as_ptr()))
    }
}

/// Adds a string to a module, which is not part of its `__all__`.
pub(crate) fn add_text(module: &Owned, name: &CStr, text: &CStr) -> Result<(), ErrorSet> {
    // SAFETY: the module is alive, and both strings end with a null byte.
    super::checked(unsafe {
        ffi::PyModule_AddStringConstant(module.as_ptr(), name.as_ptr(), text.as_ptr())
    })
    .map(drop)
}

/// Gives a module these attributes, and `__all__`, the list of their names.
pub(crate) fn add_all(
    module: &Owned,
    attributes: impl IntoIterator<Item = (&'static CStr, Owned)>,
) -> Result<(), ErrorSet> {
    let names = Owned::list()?;
    let add = |name: &CStr, object: &Owned| {
        // SAFETY: the module and the object are alive, and the name ends with a null byte.
        super::checked(unsafe {
            ffi::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), object.as_ptr())
        })
        .map(drop)
    };
    for (name, object) in attributes {
        add(name, &object)?;
        // SAFETY: the name ends with a null byte; the call returns a new reference or null.
        let name = unsafe { Owned::new(ffi::PyUnicode_InternFromString(name.as_ptr()))? };
        names.append(&name)?;
    }
    add(c"__all__", &names)
}
