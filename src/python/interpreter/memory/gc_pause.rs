//! Keeping the cyclic collector from running in the middle of an edit.

#![allow(unsafe_code)] // Calls the C API of the collector.

#[cfg(not(Py_3_12))]
use crate::python::interpreter::ffi;

/// Keeps the collector from running for as long as it lives.
///
/// Until 3.12 an allocation can run the collector, and with it finalisers: user code, which could
/// change what is being edited. Later versions collect between two instructions only.
pub(crate) struct GcPause {
    #[cfg(not(Py_3_12))]
    was_enabled: bool,
}

impl GcPause {
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: the lock is held.
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
            // SAFETY: the lock is held.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
