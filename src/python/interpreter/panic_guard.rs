//! The guard that turns panics of functions that CPython calls into `SystemError`.

#![allow(unsafe_code)] // Raises exceptions through the C API.

use super::{ErrorSet, Owned, RawObject, ffi};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// What a slot returns to say that it raised.
pub(crate) trait Failure {
    const FAILED: Self;
}

impl Failure for RawObject {
    const FAILED: Self = ptr::null_mut();
}

/// `int` and `Py_ssize_t` results.
impl Failure for i32 {
    const FAILED: Self = -1;
}

impl Failure for isize {
    const FAILED: Self = -1;
}

impl Failure for ffi::PySendResult {
    const FAILED: Self = Self::PYGEN_ERROR;
}

/// Runs the body of a function that CPython called.
#[inline(always)]
pub(crate) fn catch_panic<R: Failure>(body: impl FnOnce() -> Result<R, ErrorSet>) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(result)) => result,
        Ok(Err(ErrorSet)) => R::FAILED,
        Err(panic) => {
            raise_panic(&*panic);
            R::FAILED
        }
    }
}

#[cold]
fn raise_panic(panic: &(dyn Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let (start, len) = (message.as_ptr().cast(), message.len() as isize);
    // SAFETY: the thread is attached; the message is UTF-8, and the format takes one string.
    unsafe {
        if let Ok(message) = Owned::new(ffi::PyUnicode_FromStringAndSize(start, len)) {
            ffi::calling!(PyErr_Format(
                ffi::PyExc_SystemError,
                c"panic in ctxvars, please report it: %U".as_ptr(),
                message.as_ptr(),
            ));
        }
    }
}
