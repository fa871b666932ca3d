//! Traversing instances for the garbage collector, and freeing them.
//!
//! The garbage collector traverses the instances of each type, and breaks a cycle at an object with
//! `tp_clear`. A cycle contains an object that has changed after its creation:
//!
//! | type | changes after its creation | where cycles through it are broken |
//! | --- | --- | --- |
//! | `Map` and nodes, views, `VariableDescriptor`, `CachedDefault` | no | at another object of the cycle |
//! | `ContextVar`, `Token`, `Context` | only the native object that each one holds | at the native object |
//! | iterators | the last two pairs; their keys and values are older than the iterator | at another object |
//! | isolated functions | their `__dict__` | at the dict |
//! | `MapMutation` | its entries | `tp_clear` |
//! | `Scope` | the replaced bindings, once it is entered | `tp_clear` |
//! | `GroupBase` | the values and the scope | `tp_clear` |
//! | isolated bodies | the context, the bindings that they follow, the hooks | `tp_clear` |

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
        // SAFETY: `PyObject_ClearWeakRefs` needs an object with a count of 0 whose fields are still
        // valid, and it may run callbacks, during which the collector must not see the object. In
        // `tp_dealloc`, before the fields are dropped, the untracked instance is such an object.
        unsafe { ffi::PyObject_ClearWeakRefs(object) };
    }
}

/// Frees the memory of a dead, untracked instance, and its reference to its class.
///
/// # Safety
///
/// The instance has no references, is untracked, and its fields are dropped.
pub(crate) unsafe fn free(object: RawObject) {
    // SAFETY: no code uses the dead instance, so its memory is freed once. An instance of a heap
    // type owns a reference to the type. It is dropped last, because freeing the memory reads the
    // type.
    unsafe {
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// Visits the objects that an instance refers to, and its type.
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
    // SAFETY: `visit` and `arg` belong to this traversal. `visit` takes live objects: the
    // references are alive, and the instance keeps its type alive.
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
        // SAFETY: `visit` and `arg` belong to this traversal, and the reference is to a live
        // object.
        let stop = unsafe { visit(*reference, arg) };
        if stop != 0 {
            return stop;
        }
    }
    0
}
