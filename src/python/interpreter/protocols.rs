//! Protocols that several classes share: truth, attributes, comparison.

#![allow(unsafe_code)] // Calls the C API with any objects.

use super::{ErrorSet, Owned, RawObject, catch_panic, ffi};
use std::ffi::c_int;
use std::ptr;

/// Whether an object is true.
///
/// # Safety
///
/// It is alive.
pub(crate) unsafe fn is_true(object: RawObject) -> Result<bool, ErrorSet> {
    // SAFETY: as the caller promises.
    match unsafe { ffi::PyObject_IsTrue(object) } {
        ..0 => Err(ErrorSet),
        answer => Ok(answer != 0),
    }
}

/// The attribute of an object, `None` if it has none of that name.
///
/// # Safety
///
/// Both are alive, and the name is a `str`.
pub(crate) unsafe fn attribute(
    object: RawObject,
    name: RawObject,
) -> Result<Option<Owned>, ErrorSet> {
    let mut found = ptr::null_mut();
    // SAFETY: as the caller promises; `found` receives a reference or null.
    unsafe {
        if ffi::PyObject_GetOptionalAttr(object, name, &raw mut found) < 0 {
            return Err(ErrorSet);
        }
        Ok(Owned::new(found).ok())
    }
}

/// The body of the `tp_getattro` of an object that stands for another one: its own attribute, or
/// else that of its original, which `original_of` finds.
///
/// An original may stand for another one in turn. Such nests are walked here, not by recursion.
///
/// # Safety
///
/// The object and the name, a `str`, are alive, and each object keeps its original alive.
pub(crate) unsafe fn attribute_or_of(
    object: RawObject,
    name: RawObject,
    original_of: impl Fn(RawObject) -> Option<RawObject>,
) -> Result<RawObject, ErrorSet> {
    let mut object = object;
    while let Some(original) = original_of(object) {
        // SAFETY: the first object keeps all others alive; exceptions live as long as the
        // interpreter.
        unsafe {
            let found = ffi::PyObject_GenericGetAttr(object, name);
            if !found.is_null() || ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) == 0 {
                return Owned::new(found).map(Owned::into_ptr);
            }
            ffi::PyErr_Clear();
        }
        object = original;
    }
    // SAFETY: as above.
    unsafe { Owned::new(ffi::PyObject_GetAttr(object, name)).map(Owned::into_ptr) }
}

/// The body of a `tp_richcompare` that knows `==` and `!=` of comparable objects only.
pub(crate) fn eq_or_ne(
    operator: c_int,
    comparable: bool,
    are_equal: impl FnOnce() -> Result<bool, ErrorSet>,
) -> RawObject {
    // SAFETY: the lock is held; `NotImplemented` lives as long as the interpreter.
    catch_panic(|| unsafe {
        let (equal, not_equal) = (operator == ffi::Py_EQ, operator == ffi::Py_NE);
        if !comparable || !(equal || not_equal) {
            return Ok(Owned::from_borrowed(ffi::Py_NotImplemented()).into_ptr());
        }
        Ok(ffi::PyBool_FromLong((are_equal()? == equal).into()))
    })
}
