//! Traversal of instances by the garbage collector, and their end.
//!
//! The garbage collector traverses the instances of each type. It can break a cycle only at an object that
//! it can clear. A cycle needs an object that changes after it is made:
//!
//! | type | changes after it is made | how cycles through it are broken |
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

/// Clears the weak references to a dead instance, whose list is `list`.
///
/// # Safety
///
/// CPython has called `tp_dealloc` of the instance, which is complete and not tracked.
#[inline]
pub(crate) unsafe fn clear_weak_references(object: RawObject, list: RawObject) {
    if !list.is_null() {
        // SAFETY: the instance is in its `tp_dealloc`, complete and untracked, as the function wants it.
        unsafe { ffi::PyObject_ClearWeakRefs(object) };
    }
}

/// Frees the memory of a dead, untracked instance, and its reference to its class.
///
/// # Safety
///
/// The instance has no references, is untracked, and its fields are dropped.
pub(crate) unsafe fn free(object: RawObject) {
    // SAFETY: no code uses the dead instance. An instance of a heap type owns a reference to the type,
    // which is dropped last.
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
    // SAFETY: `visit` is the function of the garbage collector for this traversal. It takes live objects,
    // and the instance keeps its type alive.
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
        // SAFETY: `visit` is the function of the garbage collector for this traversal, and takes live
        // objects.
        let stop = unsafe { visit(*reference, arg) };
        if stop != 0 {
            return stop;
        }
    }
    0
}
