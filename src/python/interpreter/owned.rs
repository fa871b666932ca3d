//! Strong references.

#![allow(unsafe_code)] // Counts references by hand: `Py<T>` checks for the GIL each time.

use super::{ErrorSet, ffi};
use pyo3::prelude::*;
use std::ptr::{self, NonNull};

/// An object as CPython passes and returns it: a borrowed or a new reference, or null.
pub(crate) type RawObject = *mut ffi::PyObject;

/// A strong reference to a Python object.
///
/// An `Owned` is cloned and dropped by threads that are attached to the interpreter, and so hold
/// the GIL, if there is one. All threads that call this module are attached: the module starts no
/// threads, and outside of Python objects, an `Owned` does not outlive the call that made it. The
/// type is neither `Send` nor `Sync`.
///
/// A `&Owned` is therefore a live object and an attached thread, which is what most of the C API
/// asks for: see `protocols.rs`, whose methods are safe.
#[repr(transparent)]
pub(crate) struct Owned(NonNull<ffi::PyObject>);

impl Owned {
    /// Takes over a new reference. Null means that the function that returned it has set an
    /// exception.
    ///
    /// # Safety
    ///
    /// `object` is null, with an exception set, or a reference that the caller gives away.
    #[inline(always)]
    pub(crate) unsafe fn new(object: RawObject) -> Result<Self, ErrorSet> {
        NonNull::new(object).map(Self).ok_or(ErrorSet)
    }

    /// Adds a reference to a live object.
    ///
    /// # Safety
    ///
    /// `object` points to a live object.
    #[inline(always)]
    pub(crate) unsafe fn from_borrowed(object: RawObject) -> Self {
        // SAFETY: a live object has an address, which is not null, and a reference count.
        unsafe {
            ffi::Py_INCREF(object);
            Self(NonNull::new_unchecked(object))
        }
    }

    /// A borrowed reference to a live object, whose count stays as it is.
    ///
    /// # Safety
    ///
    /// The object outlives the reference.
    #[inline(always)]
    pub(crate) unsafe fn borrowed(object: &RawObject) -> &Self {
        // SAFETY: `Owned` is a transparent `NonNull`, which has the layout of a pointer that is not
        // null, as that of a live object is.
        unsafe { &*ptr::from_ref(object).cast() }
    }

    /// As [`borrowed`](Self::borrowed), `None` for null.
    ///
    /// # Safety
    ///
    /// `object` is null, or the object outlives the reference.
    #[inline(always)]
    pub(crate) unsafe fn borrowed_or_null(object: &RawObject) -> Option<&Self> {
        // SAFETY: a pointer that is not null is that of a live object, by the contract above.
        unsafe { (!object.is_null()).then(|| Self::borrowed(object)) }
    }

    /// Borrowed references to `count` live objects that lie one after the other.
    ///
    /// # Safety
    ///
    /// The objects, and the array of pointers to them, outlive the references. `array` may be null
    /// if the count is 0.
    #[inline(always)]
    pub(crate) unsafe fn borrowed_array<'a>(array: *const RawObject, count: usize) -> &'a [Self] {
        if count == 0 {
            return &[];
        }
        // SAFETY: the array has `count` pointers, each with the layout of an `Owned`.
        unsafe { std::slice::from_raw_parts(array.cast(), count) }
    }

    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> RawObject {
        self.0.as_ptr()
    }

    /// Gives the reference away.
    #[inline(always)]
    pub(crate) fn into_ptr(self) -> RawObject {
        std::mem::ManuallyDrop::new(self).0.as_ptr()
    }

    /// Whether both are the same object.
    #[inline(always)]
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    #[inline(always)]
    pub(crate) fn none() -> Self {
        // SAFETY: `None` lives as long as the interpreter.
        unsafe { Self::from_borrowed(ffi::Py_None()) }
    }

    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        // SAFETY: `Py_IsNone` compares addresses.
        unsafe { ffi::Py_IsNone(self.as_ptr()) != 0 }
    }

    /// `NotImplemented`, which a slot returns if the other operand should compute the result.
    pub(crate) fn not_implemented() -> Self {
        // SAFETY: `NotImplemented` lives as long as the interpreter.
        unsafe { Self::from_borrowed(ffi::Py_NotImplemented()) }
    }

    pub(crate) fn is_not_implemented(&self) -> bool {
        // SAFETY: only the address of `NotImplemented` is read.
        unsafe { ptr::eq(self.as_ptr(), ffi::Py_NotImplemented()) }
    }

    #[inline(always)]
    pub(crate) fn from_bool(value: bool) -> Self {
        // SAFETY: `True` and `False` live as long as the interpreter.
        unsafe { Self::from_borrowed(if value { ffi::Py_True() } else { ffi::Py_False() }) }
    }
}

impl Clone for Owned {
    #[inline(always)]
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive.
        unsafe { Self::from_borrowed(self.as_ptr()) }
    }
}

impl Drop for Owned {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `self` owns a reference, and is not used again.
        unsafe { ffi::Py_DECREF(self.as_ptr()) };
    }
}

/// PyO3's proof that the thread is attached to the interpreter.
#[inline(always)]
pub(crate) fn attached<'py>() -> Python<'py> {
    // SAFETY: this module runs in functions that CPython calls, on the thread that is attached.
    unsafe { Python::assume_attached() }
}
