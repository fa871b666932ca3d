//! The functions that PyO3 defines in Rust, as the headers of CPython define them inline, by calls
//! of functions that may wait for the GIL. Here they call the wrappers of `mod.rs` instead.

#![allow(unsafe_code)] // Calls the C API, and counts references.
#![allow(non_snake_case)] // Functions have the names that CPython gives them.

use super::{
    _Py_Dealloc, _PyObject_GC_New, _PyObject_GC_NewVar, Py_ssize_t, PyCMethod_New, PyMethodDef,
    PyObject_Vectorcall, PyObject_VectorcallMethod, PyTypeObject, RawObject,
};
use std::ptr;

/// `PY_VECTORCALL_ARGUMENTS_OFFSET`: the callee may write to the place before the first argument.
const MAY_WRITE_BEFORE: usize = 1 << (usize::BITS - 1);

/// Drops a strong reference, and the object with its last reference.
///
/// # Safety
///
/// The caller owns the reference.
#[inline(always)]
pub(crate) unsafe fn Py_DECREF(object: RawObject) {
    // SAFETY: the caller owns a reference, so the object is alive and its count is at least 1. With
    // the GIL, no other thread changes the count. No code uses the object once the count is 0.
    unsafe {
        #[cfg(any(
            Py_GIL_DISABLED,
            py_sys_config = "Py_REF_DEBUG",
            not(target_pointer_width = "64")
        ))]
        super::_Py_DecRef(object);
        #[cfg(not(any(
            Py_GIL_DISABLED,
            py_sys_config = "Py_REF_DEBUG",
            not(target_pointer_width = "64")
        )))]
        {
            #[cfg(Py_3_12)]
            let count = {
                let count = &raw mut (*object).ob_refcnt.ob_refcnt;
                if (*count as i32) < 0 {
                    return; // The object is immortal.
                }
                count
            };
            #[cfg(not(Py_3_12))]
            let count = &raw mut (*object).ob_refcnt;
            *count -= 1;
            if *count == 0 {
                _Py_Dealloc(object);
            }
        }
    }
}

/// As [`Py_DECREF`], or nothing for null.
///
/// # Safety
///
/// The caller owns the reference, if there is one.
#[inline(always)]
pub(crate) unsafe fn Py_XDECREF(object: RawObject) {
    if !object.is_null() {
        // SAFETY: the pointer is not null, so it is a reference that the caller owns.
        unsafe { Py_DECREF(object) };
    }
}

/// Allocates an instance, whose fields are not initialised; null if an exception is set.
///
/// # Safety
///
/// The type has the flag `Py_TPFLAGS_HAVE_GC`, and a `T` is not larger than its instances.
#[inline(always)]
pub(crate) unsafe fn PyObject_GC_New<T>(class: *mut PyTypeObject) -> *mut T {
    // SAFETY: the function adds the header of the garbage collector, which the flag of the type
    // announces.
    unsafe { _PyObject_GC_New(class) }.cast()
}

/// As [`PyObject_GC_New`], with room for `len` items.
///
/// # Safety
///
/// As for [`PyObject_GC_New`]; `len` is not negative.
#[inline(always)]
pub(crate) unsafe fn PyObject_GC_NewVar<T>(class: *mut PyTypeObject, len: Py_ssize_t) -> *mut T {
    // SAFETY: the function adds the header of the garbage collector, which the flag of the type
    // announces, and allocates `len` times the item size of the type.
    unsafe { _PyObject_GC_NewVar(class, len) }.cast()
}

/// The function object for a row of a method table.
///
/// # Safety
///
/// The row is never freed, and each object is alive or null.
pub(crate) unsafe fn PyCFunction_NewEx(
    row: *mut PyMethodDef,
    own: RawObject,
    module: RawObject,
) -> RawObject {
    // SAFETY: the function object keeps a pointer to the row, which is never freed, and references
    // to the objects. A null class is allowed for rows without `METH_METHOD`, which the binding
    // does not use.
    unsafe { PyCMethod_New(row, own, module, ptr::null_mut()) }
}

/// `callable(argument)`, null if it raised.
///
/// # Safety
///
/// Both objects are alive.
#[inline]
pub(crate) unsafe fn PyObject_CallOneArg(callable: RawObject, argument: RawObject) -> RawObject {
    let mut arguments = [ptr::null_mut(), argument];
    let count = 1 | MAY_WRITE_BEFORE;
    // SAFETY: the array has a place before the one argument, as the flag in `count` announces.
    unsafe { PyObject_Vectorcall(callable, arguments.as_mut_ptr().add(1), count, ptr::null_mut()) }
}

/// `object.name()`, null if it raised.
///
/// # Safety
///
/// Both objects are alive, and the name is a `str`.
#[inline]
pub(crate) unsafe fn PyObject_CallMethodNoArgs(
    mut object: RawObject,
    name: RawObject,
) -> RawObject {
    // SAFETY: the one argument is in `object`. If CPython passes it on, it clears the flag; if it
    // passes the arguments behind it on, the place before these is `object`, which may be written
    // to.
    unsafe {
        PyObject_VectorcallMethod(name, &raw mut object, 1 | MAY_WRITE_BEFORE, ptr::null_mut())
    }
}

/// `object.name(argument)`, null if it raised.
///
/// # Safety
///
/// All objects are alive, and the name is a `str`.
#[inline]
pub(crate) unsafe fn PyObject_CallMethodOneArg(
    object: RawObject,
    name: RawObject,
    argument: RawObject,
) -> RawObject {
    let mut arguments = [object, argument];
    let count = 2 | MAY_WRITE_BEFORE;
    // SAFETY: the array holds two arguments. If CPython passes both on, it clears the flag; if it
    // passes the second one on, the place before it is in the array, which may be written to.
    unsafe { PyObject_VectorcallMethod(name, arguments.as_mut_ptr(), count, ptr::null_mut()) }
}

/// Looks an attribute up, and stores a new reference or null in `value`. Returns 1 if the attribute
/// exists, 0 if it does not, -1 if an exception is set.
///
/// # Safety
///
/// Both objects are alive, the name is a `str`, and `value` can be written.
#[cfg(not(Py_3_13))]
pub(crate) unsafe fn PyObject_GetOptionalAttr(
    object: RawObject,
    name: RawObject,
    value: *mut RawObject,
) -> std::ffi::c_int {
    // SAFETY: `PyObject_GetAttr` accepts any live object with a `str`, and returns a new reference
    // or null. After null an exception is set, so it can be matched and cleared.
    unsafe {
        *value = super::PyObject_GetAttr(object, name);
        if !(*value).is_null() {
            return 1;
        }
        if super::PyErr_ExceptionMatches(super::PyExc_AttributeError) == 0 {
            return -1;
        }
        super::PyErr_Clear();
        0
    }
}

/// Looks a key up, and stores a new reference to its value or null in `value`. Returns 1 if the key
/// exists, 0 if it does not, -1 if an exception is set.
///
/// # Safety
///
/// Both objects are alive, the first is a dict, and `value` can be written.
#[cfg(not(Py_3_13))]
pub(crate) unsafe fn PyDict_GetItemRef(
    dict: RawObject,
    key: RawObject,
    value: *mut RawObject,
) -> std::ffi::c_int {
    // SAFETY: the dict is alive and owns the value that it returns, if that is not null. No code
    // runs before the increment, so the value is still alive.
    unsafe {
        *value = super::PyDict_GetItemWithError(dict, key);
        if !(*value).is_null() {
            super::Py_INCREF(*value);
            return 1;
        }
        if super::PyErr_Occurred().is_null() { 0 } else { -1 }
    }
}
