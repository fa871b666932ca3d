//! Limits of recursion.

#![allow(unsafe_code)] // Counts calls by the C API.

use super::{ErrorSet, ffi};

/// Counts one level of a nest towards the limit of recursion, for as long as it lives.
pub(crate) struct RecursionGuard(usize);

/// How much more a level counts than by the call that CPython itself counts. CPython 3.12 and 3.13
/// allow a number of nested calls, whatever stack they need, and a level of ours may need as much
/// as this many of the interpreter's. Before, the limit is far lower; later, the stack is measured.
const MORE_CALLS: usize = if cfg!(all(Py_3_12, not(Py_3_14))) { 7 } else { 0 };

/// The same for a walk over several maps in lockstep. Each level of the trie takes 1.4 kB of stack, of
/// which CPython 3.12 and 3.13 have some 800 bytes for each call that they allow.
const CALLS_OF_WALK: usize = if cfg!(not(Py_3_12)) {
    8
} else if cfg!(not(Py_3_14)) {
    32
} else {
    1
};

impl RecursionGuard {
    /// `RecursionError` if there are too many levels; `what` tells what was being done. For what
    /// CPython counts itself, such as comparisons and reprs.
    #[inline]
    pub(crate) fn counted(what: &'static std::ffi::CStr) -> Result<Self, ErrorSet> {
        Self::enter(MORE_CALLS, what)
    }

    /// As [`counted`](Self::counted), for what CPython does not count, such as hashing.
    #[inline]
    pub(crate) fn uncounted(what: &'static std::ffi::CStr) -> Result<Self, ErrorSet> {
        Self::enter(MORE_CALLS + 1, what)
    }

    /// As [`uncounted`](Self::uncounted), for a walk that runs user code on its way.
    pub(crate) fn walking(what: &'static std::ffi::CStr) -> Result<Self, ErrorSet> {
        Self::enter(CALLS_OF_WALK, what)
    }

    #[inline]
    fn enter(calls: usize, what: &'static std::ffi::CStr) -> Result<Self, ErrorSet> {
        let mut nested = Self(0);
        while nested.0 < calls {
            // SAFETY: the lock is held.
            if unsafe { ffi::Py_EnterRecursiveCall(what.as_ptr()) } != 0 {
                return Err(ErrorSet);
            }
            nested.0 += 1;
        }
        Ok(nested)
    }
}

impl Drop for RecursionGuard {
    #[inline]
    fn drop(&mut self) {
        for _ in 0..self.0 {
            // SAFETY: the lock is held, and as many calls have been entered.
            unsafe { ffi::Py_LeaveRecursiveCall() };
        }
    }
}
