//! Making a class from type slots.

#![allow(unsafe_code)] // Fills the tables that CPython reads; see `mod.rs` for why.

use super::{ErrorSet, Owned, RawObject, ffi};
use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A class that is made once, when the module is imported, and lives as long as the process.
pub(crate) struct TypeHandle(AtomicPtr<ffi::PyTypeObject>);

impl TypeHandle {
    pub(crate) const fn unset() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyTypeObject {
        self.0.load(Ordering::Relaxed)
    }

    /// The class as an object, once it is made.
    pub(crate) fn object(&self) -> Owned {
        // SAFETY: the class is alive.
        unsafe { Owned::from_borrowed(self.as_ptr().cast()) }
    }

    /// Whether `object` is an instance; there are no subclasses.
    ///
    /// # Safety
    ///
    /// `object` is alive.
    #[inline]
    pub(crate) unsafe fn is_type_of(&self, object: RawObject) -> bool {
        // SAFETY: the object is alive.
        unsafe { ptr::eq(ffi::Py_TYPE(object), self.as_ptr()) }
    }

    /// Makes the class: immutable, not to be subclassed, visible to the collector.
    ///
    /// # Safety
    ///
    /// Every slot has the type that its number stands for, `size` is that of an instance, which
    /// begins with `PyObject`, and `item_size` that of what may follow.
    pub(crate) unsafe fn make(
        &self,
        name: &'static CStr,
        size: usize,
        item_size: usize,
        flags: c_ulong,
        slots: &[(c_int, *mut c_void)],
    ) -> Result<(), ErrorSet> {
        let mut slots: Vec<_> =
            slots.iter().map(|&(slot, pfunc)| ffi::PyType_Slot { slot, pfunc }).collect();
        slots.push(ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() });
        let flags = flags
            | ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_HAVE_GC
            | ffi::Py_TPFLAGS_IMMUTABLETYPE;
        let mut spec = ffi::PyType_Spec {
            name: name.as_ptr(),
            basicsize: size as c_int,
            itemsize: item_size as c_int,
            flags: flags as u32,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: the specification is complete, as the caller promises, and copied by CPython.
        let class = unsafe { ffi::PyType_FromSpec(&raw mut spec) };
        if class.is_null() {
            // CPython 3.11 sets no exception where it has no memory for the name.
            // SAFETY: the lock is held.
            unsafe {
                if ffi::PyErr_Occurred().is_null() {
                    ffi::PyErr_NoMemory();
                }
            }
            return Err(ErrorSet);
        }
        self.0.store(class.cast(), Ordering::Relaxed);
        Ok(())
    }
}

/// A table that CPython keeps a pointer to, for ever.
pub(crate) fn leaked<T>(rows: Vec<T>) -> *mut c_void {
    Box::leak(rows.into_boxed_slice()).as_mut_ptr().cast()
}

/// The attributes of a class that are computed, and cannot be set.
pub(crate) fn attributes(rows: &[(&'static CStr, ffi::getter, &'static CStr)]) -> *mut c_void {
    let row = |&(name, get, doc): &(&'static CStr, ffi::getter, &'static CStr)| ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set: None,
        doc: doc.as_ptr(),
        closure: ptr::null_mut(),
    };
    let mut rows: Vec<_> = rows.iter().map(row).collect();
    rows.push(ffi::PyGetSetDef::default());
    leaked(rows)
}

/// The member of a class whose instances keep an object, never null, at `offset`.
pub(crate) fn object_at(offset: usize, name: &'static CStr, doc: &'static CStr) -> *mut c_void {
    let row = ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_OBJECT_EX,
        offset: offset as isize,
        flags: ffi::Py_READONLY,
        doc: doc.as_ptr(),
    };
    leaked(vec![row, ffi::PyMemberDef::default()])
}

/// The members of a class by which CPython knows at which offsets instances have what it looks for.
pub(crate) fn members_at(offsets: &[(&'static CStr, usize)]) -> *mut c_void {
    let row = |&(name, offset): &(&'static CStr, usize)| ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as isize,
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    };
    let mut rows: Vec<_> = offsets.iter().map(row).collect();
    rows.push(ffi::PyMemberDef::default());
    leaked(rows)
}

/// The members of a class whose instances keep their weak references at `offset`.
pub(crate) fn weak_references_at(offset: usize) -> *mut c_void {
    members_at(&[(c"__weaklistoffset__", offset)])
}

/// A row of a method table.
pub(crate) const fn method(
    name: &'static CStr,
    call: ffi::PyMethodDefPointer,
    flags: c_int,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: call,
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

/// `__reduce__` of a class whose instances cannot be pickled: older protocols would write what
/// cannot be read.
pub(crate) fn not_to_be_pickled() -> ffi::PyMethodDef {
    unsafe extern "C" fn reduce(object: RawObject, _: RawObject) -> RawObject {
        // SAFETY: the object is alive, and the format takes the name of its class.
        unsafe {
            let message = c"cannot pickle '%.200s' object".as_ptr();
            ffi::calling!(PyErr_Format(
                ffi::PyExc_TypeError,
                message,
                (*ffi::Py_TYPE(object)).tp_name
            ));
        }
        ptr::null_mut()
    }
    let call = ffi::PyMethodDefPointer { PyCFunction: reduce };
    let doc = c"__reduce__($self, /)\n--\n\nRaise TypeError: it cannot be pickled.";
    method(c"__reduce__", call, ffi::METH_NOARGS, doc)
}

/// A function of the module, which Python code finds in `ctxvars`.
pub(crate) fn function(module: RawObject, row: ffi::PyMethodDef) -> Result<Owned, ErrorSet> {
    // SAFETY: the module is alive and the row lives for ever; new references come back, or null
    // with an exception.
    unsafe {
        let name = Owned::new(ffi::PyUnicode_InternFromString(c"ctxvars".as_ptr()))?;
        Owned::new(ffi::PyCFunction_NewEx(leaked(vec![row]).cast(), module, name.as_ptr()))
    }
}

/// Gives a module these attributes, and `__all__`, the list of their names.
pub(crate) fn add_all(
    module: RawObject,
    attributes: impl IntoIterator<Item = (&'static CStr, Owned)>,
) -> Result<(), ErrorSet> {
    // SAFETY: all objects are alive, and the names end with a null byte.
    unsafe {
        let names = Owned::new(ffi::PyList_New(0))?;
        let add = |name: &CStr, object: &Owned| match ffi::PyModule_AddObjectRef(
            module,
            name.as_ptr(),
            object.as_ptr(),
        ) {
            ..0 => Err(ErrorSet),
            _ => Ok(()),
        };
        for (name, object) in attributes {
            add(name, &object)?;
            let name = Owned::new(ffi::PyUnicode_InternFromString(name.as_ptr()))?;
            if ffi::PyList_Append(names.as_ptr(), name.as_ptr()) < 0 {
                return Err(ErrorSet);
            }
        }
        add(c"__all__", &names)
    }
}

/// `__class_getitem__`, as all generic classes of CPython have it.
pub(crate) fn class_getitem() -> ffi::PyMethodDef {
    let call = ffi::PyMethodDefPointer { PyCFunction: ffi::slot::Py_GenericAlias };
    // The text signature came with 3.13, for every class at once.
    let doc = if cfg!(Py_3_13) {
        c"__class_getitem__($type, object, /)\n--\n\nSee PEP 585"
    } else {
        c"See PEP 585"
    };
    method(c"__class_getitem__", call, ffi::METH_O | ffi::METH_CLASS, doc)
}
