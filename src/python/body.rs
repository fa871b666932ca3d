//! The context of a body: entered at each of its steps, and left at each of its yields.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use super::object::{Object, Owned, Raised};
use pyo3::ffi;
use std::cell::Cell;

/// Where the body of a generator, a coroutine or an async generator runs.
pub(super) struct Body {
    /// The native context; if none was given, a copy of the current one, made at the first step.
    context: Cell<Option<Owned>>,
    is_running: Cell<bool>,
}

/// A clone of what a cell holds.
pub(super) fn shared(cell: &Cell<Option<Owned>>) -> Option<Owned> {
    let value = cell.take();
    let clone = value.clone();
    cell.set(value);
    clone
}

/// What a cell holds, for the collector; not counted.
pub(super) fn visited(cell: &Cell<Option<Owned>>) -> Option<Object> {
    // SAFETY: nothing changes the cell while the collector looks at it.
    unsafe { (*cell.as_ptr()).as_ref().map(Owned::as_ptr) }
}

impl Body {
    /// A body that runs in `context`, a native one, or else in a copy of that of its first step.
    pub(super) const fn new(context: Option<Owned>) -> Self {
        Self { context: Cell::new(context), is_running: Cell::new(false) }
    }

    /// Whether there is a context yet: if not, no step has been made.
    pub(super) fn has_context(&self) -> bool {
        visited(&self.context).is_some()
    }

    fn context(&self) -> Result<Owned, Raised> {
        if let Some(context) = shared(&self.context) {
            return Ok(context);
        }
        // SAFETY: the lock is held; a new reference comes back, or null with an exception.
        let copy = unsafe { Owned::new(ffi::PyContext_CopyCurrent()) }?;
        self.context.set(Some(copy.clone()));
        Ok(copy)
    }

    /// Runs `forward`, which makes the original go on, in the context of the body.
    ///
    /// An exception that `forward` leaves set stays so. One of this function means that the context
    /// could not be entered, or left because foreign code has switched it.
    #[inline]
    pub(super) fn step<R>(&self, forward: impl FnOnce() -> R) -> Result<R, Raised> {
        if self.is_running.get() {
            // Whoever makes a step inside of a step is told so by the original.
            return Ok(forward());
        }
        let context = self.context()?;
        // SAFETY: the context is alive, and a native one.
        if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
            return Err(Raised);
        }
        self.is_running.set(true);
        let result = forward();
        self.is_running.set(false);
        // SAFETY: as above.
        if unsafe { ffi::PyContext_Exit(context.as_ptr()) } < 0 {
            return Err(Raised);
        }
        Ok(result)
    }

    /// What the collector is to visit.
    pub(super) fn references(&self) -> [Option<Object>; 1] {
        [visited(&self.context)]
    }
}
