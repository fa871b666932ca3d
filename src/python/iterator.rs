//! What `Context.keys()`, `values()`, `items()` and `iter()` return.

#![allow(unsafe_code)] // The functions in the slots of the classes.

use super::class::{self, Class};
use super::heap::{self, PyHeap};
use super::object::{Object, Owned, Raised, guarded};
use crate::context::Bindings;
use crate::map::Cursor;
use pyo3::ffi;
use std::ffi::{c_int, c_void};
use std::ptr;

static KEYS: Class = Class::unset();
static VALUES: Class = Class::unset();
static ITEMS: Class = Class::unset();

/// What an iterator yields of each entry.
#[derive(Clone, Copy)]
pub(super) enum Yields {
    Key,
    Value,
    Item,
}

#[repr(C)]
struct EntryIterator {
    object: ffi::PyObject,
    cursor: Cursor<PyHeap>,
    yields: Yields,
    len: usize,
}

/// An iterator over `bindings`, which later changes do not touch. O(1).
pub(super) fn over(bindings: &Bindings<PyHeap>, yields: Yields) -> Result<Object, Raised> {
    let class = match yields {
        Yields::Key => &KEYS,
        Yields::Value => &VALUES,
        Yields::Item => &ITEMS,
    };
    let (cursor, len) = (bindings.cursor(), bindings.len());
    // SAFETY: the class has instances of this layout; the fields are written before anybody can
    // see the object.
    unsafe {
        let object: *mut EntryIterator = ffi::PyObject_GC_New(class.as_ptr());
        if object.is_null() {
            return Err(Raised);
        }
        (&raw mut (*object).cursor).write(cursor);
        (&raw mut (*object).yields).write(yields);
        (&raw mut (*object).len).write(len);
        ffi::PyObject_GC_Track(object.cast());
        Ok(object.cast())
    }
}

unsafe extern "C" fn next(object: Object) -> Object {
    // SAFETY: CPython checks the class of `object`. Only here is the cursor changed, and nothing
    // that runs user code happens while it is borrowed: a tuple is allocated after that.
    guarded(|| unsafe {
        let this = object.cast::<EntryIterator>();
        let Some(entry) = (*this).cursor.advance() else { return Ok(ptr::null_mut()) };
        match (*this).yields {
            Yields::Key => Ok(entry.key.clone().into_ptr()),
            Yields::Value => Ok(entry.value.clone().into_ptr()),
            Yields::Item => {
                let (key, value) = (entry.key.clone(), entry.value.clone());
                let pair = ffi::PyTuple_Pack(2, key.as_ptr(), value.as_ptr());
                Ok(Owned::new(pair)?.into_ptr())
            }
        }
    })
}

/// The number of entries, whatever has been yielded of them, as in CPython.
unsafe extern "C" fn len(object: Object) -> ffi::Py_ssize_t {
    // SAFETY: CPython checks the class of `object`.
    unsafe { (*object.cast::<EntryIterator>()).len as ffi::Py_ssize_t }
}

unsafe extern "C" fn traverse(object: Object, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let root = (*object.cast::<EntryIterator>()).cursor.root();
        class::traverse(object, &[root.map(heap::object_of_ref)], visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        ptr::drop_in_place(&raw mut (*object.cast::<EntryIterator>()).cursor);
        class::free(object);
    }
}

pub(super) fn init() -> Result<(), Raised> {
    for (class, name) in
        [(&KEYS, c"builtins.keys"), (&VALUES, c"builtins.values"), (&ITEMS, c"builtins.items")]
    {
        // SAFETY: each slot has the function that its number stands for, and each name begins with
        // the module. CPython keeps the memory of the name elsewhere.
        unsafe {
            class.make(
                name,
                size_of::<EntryIterator>(),
                0,
                ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
                &[
                    (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                    (ffi::Py_tp_traverse, traverse as *mut c_void),
                    (ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
                    (ffi::Py_tp_iternext, next as *mut c_void),
                    (ffi::Py_mp_length, len as *mut c_void),
                ],
            )?;
            // A class made from a specification must name a module, which the standard library's
            // messages do not show.
            let class = class.as_ptr();
            (*class).tp_name = (*class).tp_name.add(c"builtins.".count_bytes());
        }
    }
    Ok(())
}
