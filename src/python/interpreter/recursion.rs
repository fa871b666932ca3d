//! The recursion limit.

#![allow(unsafe_code)] // Counts calls by the C API.

#[cfg(all(Py_3_12, not(Py_3_13)))]
use super::error;
use super::{ErrorSet, ffi};
#[cfg(all(Py_3_12, not(Py_3_13)))]
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts one level of a nest towards the limit of recursion, until it is dropped.
pub(crate) struct RecursionGuard(usize);

/// The number of calls as which a level counts, in addition to the call that CPython itself counts.
/// CPython 3.12 and 3.13 allow a number of nested calls, whatever stack they need, and a level of
/// this module may need the stack of several. Older versions have a far lower limit, and newer ones
/// measure the stack.
const MORE_CALLS: usize = if cfg!(all(Py_3_12, not(Py_3_14))) { 7 } else { 0 };

/// The number of calls as which a walk over several maps in lockstep counts. Each level of the trie
/// takes 1.4 kB of stack; CPython 3.12 and 3.13 have some 800 bytes for each call that they allow.
const CALLS_OF_WALK: usize = if cfg!(not(Py_3_12)) {
    8
} else if cfg!(not(Py_3_14)) {
    32
} else {
    1
};

/// How many nested calls the interpreter allows, as found by [`measure_limit`]. The first releases of
/// CPython 3.12 allow 1500, later ones 10 000.
#[cfg(all(Py_3_12, not(Py_3_13)))]
static LIMIT: AtomicUsize = AtomicUsize::new(LARGE_LIMIT);

/// The limit for which [`MORE_CALLS`] and [`CALLS_OF_WALK`] are chosen.
#[cfg(all(Py_3_12, not(Py_3_13)))]
const LARGE_LIMIT: usize = 10_000;

/// Finds out how many nested calls the interpreter allows, where that depends on the release.
pub(crate) fn measure_limit() {
    #[cfg(all(Py_3_12, not(Py_3_13)))]
    {
        let guard = RecursionGuard::enter_at_most(LARGE_LIMIT, c" during an import");
        if guard.0 < LARGE_LIMIT {
            error::clear_exception();
        }
        LIMIT.store(guard.0, Ordering::Relaxed);
    }
}

/// As how many calls a level counts. Where the interpreter allows few calls, there is more stack for
/// each.
#[inline]
fn scaled(calls: usize) -> usize {
    #[cfg(all(Py_3_12, not(Py_3_13)))]
    return (calls * LIMIT.load(Ordering::Relaxed)).div_ceil(LARGE_LIMIT);
    #[cfg(not(all(Py_3_12, not(Py_3_13))))]
    calls
}

impl RecursionGuard {
    /// For operations that CPython itself counts, such as comparisons and reprs. `RecursionError`
    /// if there are too many levels; `what` names the operation.
    #[inline]
    pub(crate) fn counted(what: &'static std::ffi::CStr) -> Result<Self, ErrorSet> {
        Self::enter(MORE_CALLS, what)
    }

    /// For operations that CPython does not count, such as hashing.
    #[inline]
    pub(crate) fn uncounted(what: &'static std::ffi::CStr) -> Result<Self, ErrorSet> {
        Self::enter(MORE_CALLS + 1, what)
    }

    /// For walks over maps that run user code.
    pub(crate) fn walking(what: &'static std::ffi::CStr) -> Result<Self, ErrorSet> {
        Self::enter(CALLS_OF_WALK, what)
    }

    #[inline]
    fn enter(calls: usize, what: &'static std::ffi::CStr) -> Result<Self, ErrorSet> {
        let calls = scaled(calls);
        let nested = Self::enter_at_most(calls, what);
        if nested.0 < calls { Err(ErrorSet) } else { Ok(nested) }
    }

    /// Counts up to `calls` calls. If there are fewer, an exception is set.
    #[inline]
    fn enter_at_most(calls: usize, what: &'static std::ffi::CStr) -> Self {
        let mut nested = Self(0);
        while nested.0 < calls {
            // SAFETY: the thread is attached, and the message ends with a null byte.
            if unsafe { ffi::Py_EnterRecursiveCall(what.as_ptr()) } != 0 {
                break;
            }
            nested.0 += 1;
        }
        nested
    }
}

impl Drop for RecursionGuard {
    #[inline]
    fn drop(&mut self) {
        for _ in 0..self.0 {
            // SAFETY: the thread is attached, and has entered as many calls as are left here.
            unsafe { ffi::Py_LeaveRecursiveCall() };
        }
    }
}
