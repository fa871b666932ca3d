//! Strong references.

#![allow(unsafe_code)] // Counts references by hand: `Py<T>` checks for the GIL each time.

use super::{ErrorSet, ffi};
use pyo3::prelude::*;
use std::ptr::{self, NonNull};

/// What a function of CPython returns: an object, or null if it raised.
pub(crate) type RawObject = *mut ffi::PyObject;

/// A strong reference to a Python object.
///
/// It must be cloned and dropped only by a thread that is attached to the interpreter (and so holds
/// its lock, if it has one), as all are that call this module: no thread is started here, and no
/// `Owned` leaves it but inside Python objects.
#[repr(transparent)]
pub(crate) struct Owned(NonNull<ffi::PyObject>);

impl Owned {
    /// Takes over a new reference, or learns that the function that made it has raised.
    ///
    /// # Safety
    ///
    /// `object` is null, with an exception set, or a reference that the caller gives away.
    #[inline]
    pub(crate) unsafe fn new(object: RawObject) -> Result<Self, ErrorSet> {
        NonNull::new(object).map(Self).ok_or(ErrorSet)
    }

    /// Adds a reference to a live object.
    ///
    /// # Safety
    ///
    /// `object` points to a live object.
    #[inline]
    pub(crate) unsafe fn from_borrowed(object: RawObject) -> Self {
        // SAFETY: the object is alive, so not null.
        unsafe {
            ffi::Py_INCREF(object);
            Self(NonNull::new_unchecked(object))
        }
    }

    /// A live object as a reference that is not counted.
    ///
    /// # Safety
    ///
    /// The object outlives the reference.
    #[inline]
    pub(crate) unsafe fn borrowed(object: &RawObject) -> &Self {
        // SAFETY: `Owned` is transparent, and a live object is not null.
        unsafe { &*ptr::from_ref(object).cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> RawObject {
        self.0.as_ptr()
    }

    /// Gives the reference away.
    #[inline]
    pub(crate) fn into_ptr(self) -> RawObject {
        std::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Clone for Owned {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive.
        unsafe { Self::from_borrowed(self.as_ptr()) }
    }
}

impl Drop for Owned {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` owns the reference.
        unsafe { ffi::Py_DECREF(self.as_ptr()) };
    }
}

/// The lock, which is held wherever CPython calls.
#[inline]
pub(crate) fn attached<'py>() -> Python<'py> {
    // SAFETY: CPython has called.
    unsafe { Python::assume_attached() }
}
