//! What the garbage collector sees of instances, and how they are freed.
//!
//! Instances of each class are traversed by the garbage collector. It can break a cycle only at
//! an object that it can clear, and a cycle needs an object that changes after it is made:
//!
//! | class | changes after it is made | how cycles through it are broken |
//! | --- | --- | --- |
//! | `Map` and nodes, views, `VariableDescriptor`, `CachedDefault` | never | at another object of the cycle |
//! | `ContextVar`, `Token`, `Context` | only the native object that each one holds | there: it can be cleared |
//! | iterators | the pair that was yielded last, of entries that are older | at another object |
//! | isolated functions | their `__dict__` | there: a dict can be cleared |
//! | `MapMutation` | its entries | `tp_clear` |
//! | `Scope` | what it has replaced, once it is entered | `tp_clear` |
//! | isolated bodies | the context, what they follow, the hooks | `tp_clear` |

#![allow(unsafe_code)] // Visits and frees Python objects.

use crate::python::interpreter::{RawObject, ffi};
use std::ffi::{c_int, c_void};

/// Tells the weak references of an instance that it is dead; `list` is what it keeps of them.
///
/// # Safety
///
/// CPython has called `tp_dealloc` of the instance, which is complete and not tracked.
#[inline]
pub(crate) unsafe fn clear_weak_references(object: RawObject, list: RawObject) {
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
pub(crate) unsafe fn free(object: RawObject) {
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
pub(crate) unsafe fn traverse(
    object: RawObject,
    references: &[Option<RawObject>],
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
pub(crate) unsafe fn visit_all(
    references: &[Option<RawObject>],
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
