//! Pausing the garbage collector.

#![allow(unsafe_code)] // Calls the C API of the collector.

#[cfg(not(Py_3_12))]
use crate::python::interpreter::ffi;

/// A guard that keeps the garbage collector from running until it is dropped.
///
/// Before 3.12, an allocation can run the collector, and with it finalizers: user code, which could
/// change the object that is being edited. From 3.12 on, the collector runs between two bytecodes
/// only.
pub(crate) struct GcPause {
    #[cfg(not(Py_3_12))]
    was_enabled: bool,
}

impl GcPause {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: the thread is attached, so it may change the flag of its interpreter.
            #[cfg(not(Py_3_12))]
            was_enabled: unsafe { ffi::PyGC_Disable() } != 0,
        }
    }
}

#[cfg(not(Py_3_12))]
impl Drop for GcPause {
    #[inline]
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: the thread is attached, as it was when the guard was created: a guard is a
            // local variable of a function that CPython calls.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
