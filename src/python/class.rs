//! Making a class from type slots, and free lists for the instances of hot ones.
//!
//! Instances of each class are traversed by the garbage collector. It can break a cycle only at
//! an object that it can clear, and a cycle needs an object that changes after it is made:
//!
//! | class | changes after it is made | how cycles through it are broken |
//! | --- | --- | --- |
//! | `Map` and nodes, views, `CurrentValue`, `Made` | never | at another object of the cycle |
//! | `ContextVar`, `Token`, `Context` | only the native object that each one holds | there: it can be cleared |
//! | iterators | the pair that was yielded last, of entries that are older | at another object |
//! | isolated functions | their `__dict__` | there: a dict can be cleared |
//! | `MapMutation` | its entries | `tp_clear` |
//! | `Scope` | what it has replaced, once it is entered | `tp_clear` |
//! | isolated bodies | the context, what they follow, the hooks | `tp_clear` |

#![allow(unsafe_code)] // Fills the tables that CPython reads; see `mod.rs` for why.

use super::ffi;
use super::object::{Object, Owned, Raised};
use super::sharing::FREE_THREADED;
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A class that is made once, when the module is imported, and lives as long as the process.
pub(super) struct Class(AtomicPtr<ffi::PyTypeObject>);

impl Class {
    pub(super) const fn unset() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut ffi::PyTypeObject {
        self.0.load(Ordering::Relaxed)
    }

    /// The class as an object, once it is made.
    pub(super) fn object(&self) -> Owned {
        // SAFETY: the class is alive.
        unsafe { Owned::from_borrowed(self.as_ptr().cast()) }
    }

    /// Whether `object` is an instance; there are no subclasses.
    ///
    /// # Safety
    ///
    /// `object` is alive.
    #[inline]
    pub(super) unsafe fn is_class_of(&self, object: Object) -> bool {
        // SAFETY: the object is alive.
        unsafe { ptr::eq(ffi::Py_TYPE(object), self.as_ptr()) }
    }

    /// Makes the class: immutable, not to be subclassed, visible to the collector.
    ///
    /// # Safety
    ///
    /// Every slot has the type that its number stands for, `size` is that of an instance, which
    /// begins with `PyObject`, and `item_size` that of what may follow.
    pub(super) unsafe fn make(
        &self,
        name: &'static CStr,
        size: usize,
        item_size: usize,
        flags: c_ulong,
        slots: &[(c_int, *mut c_void)],
    ) -> Result<(), Raised> {
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
            return Err(Raised);
        }
        self.0.store(class.cast(), Ordering::Relaxed);
        Ok(())
    }
}

/// A table that CPython keeps a pointer to, for ever.
pub(super) fn leaked<T>(rows: Vec<T>) -> *mut c_void {
    Box::leak(rows.into_boxed_slice()).as_mut_ptr().cast()
}

/// The attributes of a class that are computed, and cannot be set.
pub(super) fn attributes(rows: &[(&'static CStr, ffi::getter, &'static CStr)]) -> *mut c_void {
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
pub(super) fn object_at(offset: usize, name: &'static CStr, doc: &'static CStr) -> *mut c_void {
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
pub(super) fn members_at(offsets: &[(&'static CStr, usize)]) -> *mut c_void {
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
pub(super) fn weak_references_at(offset: usize) -> *mut c_void {
    members_at(&[(c"__weaklistoffset__", offset)])
}

/// A row of a method table.
pub(super) const fn method(
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
pub(super) fn not_to_be_pickled() -> ffi::PyMethodDef {
    unsafe extern "C" fn reduce(object: Object, _: Object) -> Object {
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
pub(super) fn function(module: Object, row: ffi::PyMethodDef) -> Result<Owned, Raised> {
    // SAFETY: the module is alive and the row lives for ever; new references come back, or null
    // with an exception.
    unsafe {
        let name = Owned::new(ffi::PyUnicode_InternFromString(c"ctxvars".as_ptr()))?;
        Owned::new(ffi::PyCFunction_NewEx(leaked(vec![row]).cast(), module, name.as_ptr()))
    }
}

/// Gives a module these attributes, and `__all__`, the list of their names.
pub(super) fn add_all(
    module: Object,
    attributes: impl IntoIterator<Item = (&'static CStr, Owned)>,
) -> Result<(), Raised> {
    // SAFETY: all objects are alive, and the names end with a null byte.
    unsafe {
        let names = Owned::new(ffi::PyList_New(0))?;
        let add = |name: &CStr, object: &Owned| match ffi::PyModule_AddObjectRef(
            module,
            name.as_ptr(),
            object.as_ptr(),
        ) {
            ..0 => Err(Raised),
            _ => Ok(()),
        };
        for (name, object) in attributes {
            add(name, &object)?;
            let name = Owned::new(ffi::PyUnicode_InternFromString(name.as_ptr()))?;
            if ffi::PyList_Append(names.as_ptr(), name.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        add(c"__all__", &names)
    }
}

/// `__class_getitem__`, as all generic classes of CPython have it.
pub(super) fn class_getitem() -> ffi::PyMethodDef {
    let call = ffi::PyMethodDefPointer { PyCFunction: ffi::slot::Py_GenericAlias };
    // The text signature came with 3.13, for every class at once.
    let doc = if cfg!(Py_3_13) {
        c"__class_getitem__($type, object, /)\n--\n\nSee PEP 585"
    } else {
        c"See PEP 585"
    };
    method(c"__class_getitem__", call, ffi::METH_O | ffi::METH_CLASS, doc)
}

/// Memory of up to `N` dead instances of one size, kept for the next ones.
///
/// It is guarded by the interpreter's lock, which is held wherever CPython allocates or frees; where
/// there is none, nothing is kept.
pub(super) struct FreeList<const N: usize>(UnsafeCell<Blocks<N>>);

struct Blocks<const N: usize> {
    count: usize,
    blocks: [Object; N],
}

// SAFETY: only touched with the interpreter's lock held, if there is one, else not at all.
unsafe impl<const N: usize> Sync for FreeList<N> {}

impl<const N: usize> FreeList<N> {
    /// Not in a build that keeps a list of all live objects, which must see each of them come and
    /// go, nor where there is no lock, or a sanitizer is to see the end of each object.
    const KEEPS: bool =
        !cfg!(py_sys_config = "Py_TRACE_REFS") && !FREE_THREADED && !cfg!(no_free_lists);

    pub(super) const fn new() -> Self {
        Self(UnsafeCell::new(Blocks { count: 0, blocks: [ptr::null_mut(); N] }))
    }

    /// An instance with one reference, its fields uninitialised, if there is a block.
    ///
    /// # Safety
    ///
    /// The lock is held; all blocks came from instances of one class and size.
    #[inline]
    pub(super) unsafe fn take(&self) -> Option<Object> {
        // SAFETY: nobody else looks while the lock is held. The block is an instance without
        // references, which still has its class; one reference makes it alive again.
        unsafe {
            if !Self::KEEPS {
                return None;
            }
            let list = &mut *self.0.get();
            list.count = list.count.checked_sub(1)?;
            let object = list.blocks[list.count];
            ffi::Py_INCREF(object);
            Some(object)
        }
    }

    /// Keeps or frees the memory of a dead, untracked instance, with its reference to its class.
    ///
    /// # Safety
    ///
    /// The lock is held; the instance has no references, is untracked and its fields are dropped.
    #[inline]
    pub(super) unsafe fn give(&self, object: Object) {
        // SAFETY: as the caller promises.
        unsafe {
            debug_assert_eq!(ffi::Py_REFCNT(object), 0);
            if Self::KEEPS {
                let list = &mut *self.0.get();
                if list.count < N {
                    list.blocks[list.count] = object;
                    list.count += 1;
                    return;
                }
            }
            free(object);
        }
    }
}

/// Tells the weak references of an instance that it is dead; `list` is what it keeps of them.
///
/// # Safety
///
/// CPython has called `tp_dealloc` of the instance, which is complete and not tracked.
#[inline]
pub(super) unsafe fn clear_weak_references(object: Object, list: Object) {
    if !list.is_null() {
        // SAFETY: as the caller promises.
        unsafe { ffi::PyObject_ClearWeakRefs(object) };
    }
}

/// Frees the memory of a dead, untracked instance, and its reference to its class.
///
/// # Safety
///
/// The lock is held; the instance has no references, is untracked and its fields are dropped.
pub(super) unsafe fn free(object: Object) {
    // SAFETY: as the caller promises; an instance of a heap type owns a reference to it.
    unsafe {
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// Visits the class of an instance, and the objects that it refers to.
///
/// # Safety
///
/// CPython called `tp_traverse` of `object` with `visit` and `arg`; the references are alive.
pub(super) unsafe fn traverse(
    object: Object,
    references: &[Option<Object>],
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        match visit_all(references, visit, arg) {
            0 => visit(ffi::Py_TYPE(object).cast(), arg),
            stop => stop,
        }
    }
}

/// Visits objects that an instance refers to.
///
/// # Safety
///
/// CPython called `tp_traverse` of the instance with `visit` and `arg`; the references are alive.
pub(super) unsafe fn visit_all(
    references: &[Option<Object>],
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    for reference in references.iter().flatten() {
        // SAFETY: as the caller promises.
        let stop = unsafe { visit(*reference, arg) };
        if stop != 0 {
            return stop;
        }
    }
    0
}
