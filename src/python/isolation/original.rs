//! The state of the generators and coroutines for which proxies stand.

#![allow(unsafe_code)] // Calls the C API of generators.

use crate::python::interpreter::{ErrorSet, Owned, RawObject, attribute, ffi, is_true, name};
use crate::python::isolation::proxy::innermost;

/// Whether a generator can be awaited: `types.coroutine` has marked its code.
///
/// # Safety
///
/// `generator` is one of CPython's.
pub(crate) unsafe fn is_awaitable(generator: RawObject) -> Result<bool, ErrorSet> {
    // SAFETY: the caller passes a generator, which is alive.
    unsafe {
        let code = Owned::new(ffi::PyObject_GetAttr(generator, name!("gi_code")))?;
        let flags = Owned::new(ffi::PyObject_GetAttr(code.as_ptr(), name!("co_flags")))?;
        let flags = ffi::PyLong_AsLong(flags.as_ptr());
        if flags == -1 && !ffi::PyErr_Occurred().is_null() {
            return Err(ErrorSet);
        }
        Ok(flags & std::ffi::c_long::from(ffi::CO_ITERABLE_COROUTINE) != 0)
    }
}

/// Whether `original` is in the middle of a step.
///
/// # Safety
///
/// `original` is alive.
pub(crate) unsafe fn is_running(original: RawObject) -> Result<bool, ErrorSet> {
    let original = innermost(original);
    for name in [name!("gi_running"), name!("cr_running"), name!("ag_running")] {
        // SAFETY: as the caller promises.
        unsafe {
            if let Some(value) = attribute(original, name)? {
                return is_true(value.as_ptr());
            }
        }
    }
    Ok(false)
}

/// Whether `original` is in a step, and refuses to make another one inside of it.
pub(crate) fn refuses(original: RawObject) -> Result<bool, ErrorSet> {
    // SAFETY: the original of a proxy is alive.
    unsafe {
        let known = ffi::PyGen_CheckExact(original) != 0 || ffi::PyCoro_CheckExact(original) != 0;
        Ok(known && is_running(original)?)
    }
}
