//! The one interpreter that may use the module.
//!
//! The types and the root variable belong to the interpreter that created them, and Rust statics
//! refer to them. So subinterpreters cannot import the module. Neither can an interpreter that
//! starts after `Py_Finalize`: the statics still refer to the objects of the finalized one.

#![allow(unsafe_code)] // Calls the C API of interpreters.

use super::{ErrorSet, Exception, Owned, ffi, raise_message};
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether an interpreter of this process has created the types.
static IS_CLAIMED: AtomicBool = AtomicBool::new(false);

/// The key of a mark in the dict of the interpreter that has created the types. Each interpreter
/// starts with an empty dict; its number and its address may be those of a finalized interpreter.
const MARK: &CStr = c"ctxvars";

fn refused(message: &'static CStr) -> ErrorSet {
    raise_message(Exception::ImportError, message)
}

/// The dict of this interpreter, and the key of the mark.
fn dict_and_key() -> Result<(Owned, Owned), ErrorSet> {
    // SAFETY: the thread is attached, so it has an interpreter, which owns its dict until it is
    // finalized. `Owned::from_borrowed` takes a reference before any other code runs. The text ends
    // with a null byte.
    unsafe {
        let dict = ffi::PyInterpreterState_GetDict(ffi::PyInterpreterState_Get());
        if dict.is_null() {
            // The first call creates the dict. If that fails, CPython sets no exception.
            ffi::PyErr_NoMemory();
            return Err(ErrorSet);
        }
        let key = Owned::new(ffi::PyUnicode_InternFromString(MARK.as_ptr()))?;
        Ok((Owned::from_borrowed(dict), key))
    }
}

/// Whether the thread runs in the main interpreter.
pub(crate) fn is_main() -> bool {
    // SAFETY: the thread is attached, so it has an interpreter. The pointers are only compared.
    unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() }
}

/// Whether this interpreter has created the types. Raises `ImportError` if it must not use the
/// module.
pub(crate) fn has_classes() -> Result<bool, ErrorSet> {
    if !is_main() {
        // CPython itself says this in an interpreter with another GIL, and `ctxvars/__init__.py`
        // recognises both.
        return Err(refused(c"module ctxvars._core does not support loading in subinterpreters"));
    }
    if !IS_CLAIMED.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let (dict, key) = dict_and_key()?;
    // SAFETY: the references keep the dict and the key alive. The borrowed result is only compared
    // with null.
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

/// Records that this interpreter has created the types.
pub(crate) fn claim() -> Result<(), ErrorSet> {
    let (dict, key) = dict_and_key()?;
    // SAFETY: the references keep the dict and the key alive; the dict takes references to both.
    if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), key.as_ptr()) } < 0 {
        return Err(ErrorSet);
    }
    IS_CLAIMED.store(true, Ordering::Relaxed);
    Ok(())
}
