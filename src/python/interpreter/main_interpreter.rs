//! The one interpreter that may use the module.
//!
//! Classes and the root variable are objects of the interpreter that made them, and Rust statics
//! refer to them. So only the main interpreter may import the module, and only the first one of a
//! process: after `Py_Finalize`, the objects are those of an interpreter that is gone.

#![allow(unsafe_code)] // Calls the C API of interpreters.

use super::{ErrorSet, Exception, Owned, ffi, raise_message};
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether an interpreter of this process has made the classes.
static IS_CLAIMED: AtomicBool = AtomicBool::new(false);

/// The key of the mark in the dict of the interpreter: each interpreter starts with an empty dict,
/// while the numbers and the addresses of interpreters are used again after `Py_Finalize`.
const MARK: &CStr = c"ctxvars";

fn refused(message: &'static CStr) -> ErrorSet {
    raise_message(Exception::ImportError, message)
}

/// The dict of this interpreter, and the key of the mark.
fn dict_and_key() -> Result<(Owned, Owned), ErrorSet> {
    // SAFETY: the thread has an interpreter, which keeps its dict alive.
    unsafe {
        let dict = ffi::PyInterpreterState_GetDict(ffi::PyInterpreterState_Get());
        if dict.is_null() {
            // It is made when it is first asked for, and nothing says so if that fails.
            ffi::PyErr_NoMemory();
            return Err(ErrorSet);
        }
        let key = Owned::new(ffi::PyUnicode_InternFromString(MARK.as_ptr()))?;
        Ok((Owned::from_borrowed(dict), key))
    }
}

/// Whether the thread runs in the main interpreter, the only one that can have the module.
pub(crate) fn is_main() -> bool {
    // SAFETY: the thread is attached, so it has an interpreter.
    unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() }
}

/// Whether this interpreter has made the classes; `ImportError` if it must not use them.
pub(crate) fn has_classes() -> Result<bool, ErrorSet> {
    if !is_main() {
        return Err(refused(c"ctxvars works in the main interpreter only, not in others"));
    }
    if !IS_CLAIMED.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let (dict, key) = dict_and_key()?;
    // SAFETY: the thread is attached; the dict and the key are alive.
    unsafe {
        if !ffi::PyDict_GetItemWithError(dict.as_ptr(), key.as_ptr()).is_null() {
            return Ok(true);
        }
        if !ffi::PyErr_Occurred().is_null() {
            return Err(ErrorSet);
        }
        Err(refused(c"ctxvars cannot be used again after Py_Finalize: start a new process"))
    }
}

/// Notes that this interpreter has made the classes.
pub(crate) fn claim() -> Result<(), ErrorSet> {
    let (dict, key) = dict_and_key()?;
    // SAFETY: all are alive.
    if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), key.as_ptr()) } < 0 {
        return Err(ErrorSet);
    }
    IS_CLAIMED.store(true, Ordering::Relaxed);
    Ok(())
}
