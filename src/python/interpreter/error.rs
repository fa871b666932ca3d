//! Exceptions set on the thread state.

#![allow(unsafe_code)] // Calls the C API of exceptions.

use super::{Owned, RawObject, ffi};
use std::ptr;

/// An exception has been set on the thread state.
#[derive(Debug)]
pub(crate) struct ErrorSet;

impl ErrorSet {
    /// Takes the exception off the thread state, with its traceback.
    ///
    /// It is an `Owned`, unlike `PyErr`: where the lock is held unknown to PyO3, what is dropped of
    /// PyO3's is kept until much later.
    pub(crate) fn take(self) -> Option<Owned> {
        // SAFETY: the lock is held, and the references that come back are new.
        unsafe {
            #[cfg(Py_3_12)]
            let value = ffi::PyErr_GetRaisedException();
            #[cfg(not(Py_3_12))]
            let value = {
                let (mut class, mut value) = (ptr::null_mut(), ptr::null_mut());
                let mut traceback = ptr::null_mut();
                ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
                ffi::PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback);
                if !value.is_null() && !traceback.is_null() {
                    ffi::PyException_SetTraceback(value, traceback);
                }
                ffi::Py_XDECREF(class);
                ffi::Py_XDECREF(traceback);
                value
            };
            Owned::new(value).ok()
        }
    }

    /// Raises an exception that has been taken.
    pub(crate) fn restore(exception: Owned) -> Self {
        let value = exception.into_ptr();
        // SAFETY: the lock is held; the reference is given away.
        unsafe {
            #[cfg(Py_3_12)]
            ffi::PyErr_SetRaisedException(value);
            #[cfg(not(Py_3_12))]
            {
                let class: RawObject = ffi::Py_TYPE(value).cast();
                ffi::Py_INCREF(class);
                ffi::PyErr_Restore(class, value, ffi::PyException_GetTraceback(value));
            }
        }
        Self
    }
}

/// The exception of the thread state while other code runs, `None` if there is none.
///
/// Unlike what [`ErrorSet::take`] returns it is put back as it was found, not normalised.
pub(crate) struct SavedError {
    #[cfg(Py_3_12)]
    value: RawObject,
    #[cfg(not(Py_3_12))]
    parts: [RawObject; 3],
}

impl SavedError {
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: the thread is attached to the interpreter; the references that come back are new.
        unsafe {
            #[cfg(Py_3_12)]
            return Self { value: ffi::PyErr_GetRaisedException() };
            #[cfg(not(Py_3_12))]
            {
                let mut parts = [ptr::null_mut(); 3];
                let [class, value, traceback] = &mut parts;
                ffi::PyErr_Fetch(class, value, traceback);
                Self { parts }
            }
        }
    }

    /// Makes it the exception of the thread state again, in place of any other.
    #[inline]
    pub(crate) fn restore(self) {
        // SAFETY: the thread is attached to the interpreter; the references are given away.
        unsafe {
            #[cfg(Py_3_12)]
            ffi::PyErr_SetRaisedException(self.value);
            #[cfg(not(Py_3_12))]
            {
                let [class, value, traceback] = self.parts;
                ffi::PyErr_Restore(class, value, traceback);
            }
        }
    }
}

/// Raises `exception` with `format`, in which `%R` is the repr of `argument`.
#[cold]
pub(crate) fn raise(
    exception: RawObject,
    format: &'static std::ffi::CStr,
    argument: RawObject,
) -> ErrorSet {
    // SAFETY: the lock is held, both objects are alive, and the format takes one object.
    unsafe { ffi::calling!(PyErr_Format(exception, format.as_ptr(), argument)) };
    ErrorSet
}

/// Raises `exception` with a message that names nothing.
#[cold]
pub(crate) fn raise_message(exception: RawObject, message: &'static std::ffi::CStr) -> ErrorSet {
    // SAFETY: the lock is held, the exception is alive, and the message ends with a null byte.
    unsafe { ffi::PyErr_SetString(exception, message.as_ptr()) };
    ErrorSet
}

/// Raises `exception` with `value` as its argument.
#[cold]
pub(crate) fn raise_value(exception: RawObject, value: RawObject) -> ErrorSet {
    // SAFETY: the lock is held and both objects are alive.
    unsafe { ffi::PyErr_SetObject(exception, value) };
    ErrorSet
}

/// Raises the `KeyError` of `key`, be it a tuple or not.
#[cold]
pub(crate) fn raise_key_error(key: RawObject) -> ErrorSet {
    // SAFETY: the lock is held and the key is alive.
    unsafe {
        if let Ok(arguments) = Owned::new(ffi::calling!(PyTuple_Pack(1, key))) {
            ffi::PyErr_SetObject(ffi::PyExc_KeyError, arguments.as_ptr());
        }
    }
    ErrorSet
}
