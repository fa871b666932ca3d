//! Pausing the garbage collector during an edit.

#![allow(unsafe_code)] // Calls the C API of the collector.

#[cfg(not(Py_3_12))]
use crate::python::interpreter::ffi;

/// Keeps the garbage collector from running until it is dropped.
///
/// Before 3.12, an allocation can run the collector, and with it finalizers: user code, which could
/// change the object that is being edited. Later versions collect only between two instructions.
pub(crate) struct GcPause {
    #[cfg(not(Py_3_12))]
    was_enabled: bool,
}

impl GcPause {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: the thread is attached; the function changes a flag of the interpreter.
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
            // SAFETY: the thread is attached; the function changes a flag of the interpreter.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
