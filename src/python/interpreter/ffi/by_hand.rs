//! What PyO3, as the headers of CPython, defines by calling functions that may wait for the GIL.

#![allow(unsafe_code)] // Calls the C API, and counts references.
#![allow(non_snake_case)] // Functions have the names that CPython gives them.

use super::{
    _Py_Dealloc, _PyObject_GC_New, _PyObject_GC_NewVar, Py_ssize_t, PyCMethod_New, PyMethodDef,
    PyObject_Vectorcall, PyObject_VectorcallMethod, PyTypeObject, RawObject,
};
use std::ptr;

/// `PY_VECTORCALL_ARGUMENTS_OFFSET`: what is called may use the place before its first argument.
const MAY_WRITE_BEFORE: usize = 1 << (usize::BITS - 1);

/// Gives a reference back.
///
/// # Safety
///
/// The caller owns the reference.
#[inline(always)]
pub(crate) unsafe fn Py_DECREF(object: RawObject) {
    // SAFETY: the object is alive until its last reference is given back.
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
                    return; // it is immortal
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
        // SAFETY: the caller owns the reference.
        unsafe { Py_DECREF(object) };
    }
}

/// Memory for an instance, its fields not initialised.
///
/// # Safety
///
/// The garbage collector traverses instances of the class, which begin with `T`.
#[inline(always)]
pub(crate) unsafe fn PyObject_GC_New<T>(class: *mut PyTypeObject) -> *mut T {
    // SAFETY: the caller passes such a class.
    unsafe { _PyObject_GC_New(class) }.cast()
}

/// As [`PyObject_GC_New`], with room for `len` items.
///
/// # Safety
///
/// As for [`PyObject_GC_New`].
#[inline(always)]
pub(crate) unsafe fn PyObject_GC_NewVar<T>(class: *mut PyTypeObject, len: Py_ssize_t) -> *mut T {
    // SAFETY: the caller passes such a class.
    unsafe { _PyObject_GC_NewVar(class, len) }.cast()
}

/// A function from a row of a method table.
///
/// # Safety
///
/// The row lives for ever, and the objects are alive or null.
pub(crate) unsafe fn PyCFunction_NewEx(
    row: *mut PyMethodDef,
    own: RawObject,
    module: RawObject,
) -> RawObject {
    // SAFETY: the caller passes such a row and such objects.
    unsafe { PyCMethod_New(row, own, module, ptr::null_mut()) }
}

/// `callable(argument)`, null if it raised.
///
/// # Safety
///
/// Both are alive.
#[inline]
pub(crate) unsafe fn PyObject_CallOneArg(callable: RawObject, argument: RawObject) -> RawObject {
    let arguments = [ptr::null_mut(), argument];
    let count = 1 | MAY_WRITE_BEFORE;
    // SAFETY: there is one argument, and a place before it.
    unsafe { PyObject_Vectorcall(callable, arguments.as_ptr().add(1), count, ptr::null_mut()) }
}

/// `object.name()`, null if it raised.
///
/// # Safety
///
/// Both are alive, and the name is a `str`.
#[inline]
pub(crate) unsafe fn PyObject_CallMethodNoArgs(object: RawObject, name: RawObject) -> RawObject {
    // SAFETY: the first argument is the object itself.
    unsafe {
        PyObject_VectorcallMethod(name, &raw const object, 1 | MAY_WRITE_BEFORE, ptr::null_mut())
    }
}

/// `object.name(argument)`, null if it raised.
///
/// # Safety
///
/// All are alive, and the name is a `str`.
#[inline]
pub(crate) unsafe fn PyObject_CallMethodOneArg(
    object: RawObject,
    name: RawObject,
    argument: RawObject,
) -> RawObject {
    let arguments = [object, argument];
    let count = 2 | MAY_WRITE_BEFORE;
    // SAFETY: the first argument is the object itself.
    unsafe { PyObject_VectorcallMethod(name, arguments.as_ptr(), count, ptr::null_mut()) }
}

/// Looks for an attribute: 1 if `value` has received it, 0 if there is none, -1 if that raised.
///
/// # Safety
///
/// Both are alive, and the name is a `str`.
#[cfg(not(Py_3_13))]
pub(crate) unsafe fn PyObject_GetOptionalAttr(
    object: RawObject,
    name: RawObject,
    value: *mut RawObject,
) -> std::ffi::c_int {
    // SAFETY: the caller passes such objects, and a place for the value.
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

/// Looks for a key: 1 if `value` has received its value, 0 if there is none, -1 if that raised.
///
/// # Safety
///
/// Both are alive, and the first is a dict.
#[cfg(not(Py_3_13))]
pub(crate) unsafe fn PyDict_GetItemRef(
    dict: RawObject,
    key: RawObject,
    value: *mut RawObject,
) -> std::ffi::c_int {
    // SAFETY: the caller passes such objects, and a place for the value.
    unsafe {
        *value = super::PyDict_GetItemWithError(dict, key);
        if !(*value).is_null() {
            super::Py_INCREF(*value);
            return 1;
        }
        if super::PyErr_Occurred().is_null() { 0 } else { -1 }
    }
}
