//! Exceptions that are set on the thread state.

#![allow(unsafe_code)] // Calls the C API of exceptions.

use super::{Owned, RawObject, ffi};
use std::ffi::CStr;
use std::ptr;

/// An exception has been set on the thread state.
#[derive(Debug)]
pub(crate) struct ErrorSet;

impl ErrorSet {
    /// Takes the exception off the thread state, with its traceback.
    ///
    /// The exception is an `Owned`, unlike in `PyErr`: when PyO3 does not see that the thread is
    /// attached, it postpones the release of references, possibly for long.
    pub(crate) fn take(self) -> Option<Owned> {
        // SAFETY: the thread is attached, since it has set an exception. The functions return new
        // references, or null.
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
        // SAFETY: `value` is a live exception. Both functions take over the references.
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

/// The result of a function of the C API that returns a negative number after it has set an
/// exception.
#[inline]
pub(crate) fn checked<N: Default + PartialOrd>(result: N) -> Result<N, ErrorSet> {
    if result < N::default() { Err(ErrorSet) } else { Ok(result) }
}

/// The exception of the thread state, or its absence, kept while other code runs.
///
/// Unlike the result of [`ErrorSet::take`], it is restored as it was found, not normalised.
pub(crate) struct SavedError {
    #[cfg(Py_3_12)]
    value: RawObject,
    #[cfg(not(Py_3_12))]
    parts: [RawObject; 3],
}

impl SavedError {
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: the functions need an attached thread, and return new references, or null.
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

    /// Makes the saved exception that of the thread state again, in place of any other.
    #[inline]
    pub(crate) fn restore(self) {
        // SAFETY: the references are those that `new` received; the functions take them over.
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

/// The built-in exceptions that the module raises or looks for.
#[derive(Clone, Copy)]
pub(crate) enum Exception {
    /// `Exception`, the base of the others.
    Any,
    AttributeError,
    ImportError,
    KeyError,
    LookupError,
    MemoryError,
    RuntimeError,
    StopIteration,
    SystemError,
    TypeError,
    ValueError,
}

impl Exception {
    /// The exception type, as a borrowed reference.
    fn object(self) -> RawObject {
        // SAFETY: the interpreter has set these variables at its start, and never changes them.
        unsafe {
            match self {
                Self::AttributeError => ffi::PyExc_AttributeError,
                Self::Any => ffi::PyExc_Exception,
                Self::ImportError => ffi::PyExc_ImportError,
                Self::KeyError => ffi::PyExc_KeyError,
                Self::LookupError => ffi::PyExc_LookupError,
                Self::MemoryError => ffi::PyExc_MemoryError,
                Self::RuntimeError => ffi::PyExc_RuntimeError,
                Self::StopIteration => ffi::PyExc_StopIteration,
                Self::SystemError => ffi::PyExc_SystemError,
                Self::TypeError => ffi::PyExc_TypeError,
                Self::ValueError => ffi::PyExc_ValueError,
            }
        }
    }

    /// Whether the exception of the thread state is one of these. There must be an exception.
    pub(crate) fn is_set(self) -> bool {
        // SAFETY: the exception type is alive; the function looks at the thread state only.
        unsafe { ffi::PyErr_ExceptionMatches(self.object()) != 0 }
    }
}

/// Whether the thread state has an exception.
pub(crate) fn is_exception_set() -> bool {
    // SAFETY: the function returns a borrowed reference, which is only compared with null.
    unsafe { !ffi::PyErr_Occurred().is_null() }
}

/// Removes the exception of the thread state.
pub(crate) fn clear_exception() {
    // SAFETY: an attached thread may clear its exception at any time.
    unsafe { ffi::PyErr_Clear() }
}

/// Raises `exception` with `format`, in which `%R` is the repr of `argument`.
#[cold]
pub(crate) fn raise(exception: Exception, format: &'static CStr, argument: &Owned) -> ErrorSet {
    // SAFETY: callers pass formats with one `%R`, for which there is one live object.
    unsafe { ffi::calling!(PyErr_Format(exception.object(), format.as_ptr(), argument.as_ptr())) };
    ErrorSet
}

/// As [`raise`]; tracebacks do not show the exception that is being handled.
#[cold]
pub(crate) fn raise_from_none(
    exception: Exception,
    format: &'static CStr,
    argument: &Owned,
) -> ErrorSet {
    let Some(raised) = raise(exception, format, argument).take() else { return ErrorSet };
    // SAFETY: the object is an exception; null for its cause means `from None`.
    unsafe { ffi::PyException_SetCause(raised.as_ptr(), ptr::null_mut()) };
    ErrorSet::restore(raised)
}

/// Raises `exception` with a message.
#[cold]
pub(crate) fn raise_message(exception: Exception, message: &'static CStr) -> ErrorSet {
    // SAFETY: the exception type is alive, and a `CStr` ends with a null byte.
    unsafe { ffi::PyErr_SetString(exception.object(), message.as_ptr()) };
    ErrorSet
}

/// Raises `exception` with `value` as its argument.
#[cold]
pub(crate) fn raise_value(exception: Exception, value: &Owned) -> ErrorSet {
    // SAFETY: the exception type and the value are alive.
    unsafe { ffi::PyErr_SetObject(exception.object(), value.as_ptr()) };
    ErrorSet
}

/// Raises an exception of a user's type with `value` as its argument.
#[cold]
pub(crate) fn raise_value_as(exception_type: &Owned, value: &Owned) -> ErrorSet {
    // SAFETY: both are alive. An object that is not an exception type raises `SystemError`.
    unsafe { ffi::PyErr_SetObject(exception_type.as_ptr(), value.as_ptr()) };
    ErrorSet
}

/// Raises the `KeyError` of `key`. A key that is a tuple is one argument, too.
#[cold]
pub(crate) fn raise_key_error(key: &Owned) -> ErrorSet {
    if let Ok(arguments) = Owned::tuple([key]) {
        raise_value(Exception::KeyError, &arguments);
    }
    ErrorSet
}
