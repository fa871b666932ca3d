//! Entering native contexts, and leaving them on every path.
//!
//! **Architecture invariant:** no other file enters or leaves a native context. An [`Entered`] is
//! left when the code that runs in it has returned, raised or panicked.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use crate::python::interpreter::free_threading::with_object_lock;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, SavedError, ffi, raise};
use std::mem;

/// A native context that this thread has entered last.
pub(crate) struct Entered<'a>(&'a Owned);

impl<'a> Entered<'a> {
    /// Enters a native context; `RuntimeError` if it is entered already.
    ///
    /// # Safety
    ///
    /// `context` is a native context.
    #[inline]
    pub(crate) unsafe fn new(context: &'a Owned) -> Result<Self, ErrorSet> {
        let object = context.as_ptr();
        // SAFETY: the object is a native context, which the caller keeps alive.
        let entered = unsafe { with_object_lock(object, || ffi::PyContext_Enter(object)) };
        if entered < 0 { Err(ErrorSet) } else { Ok(Self(context)) }
    }

    /// Runs `body` in the context, and leaves it.
    ///
    /// If other code has entered contexts meanwhile and not left them, this one cannot be left: the
    /// `RuntimeError` names it, and has the exception of the body as its `__context__`.
    #[inline]
    pub(crate) fn run<R>(self, body: impl FnOnce() -> Result<R, ErrorSet>) -> Result<R, ErrorSet> {
        let result = body();
        // From here on it is left below, and not when it is dropped.
        let context = mem::ManuallyDrop::new(self).0;
        match result {
            Ok(result) => match leave(context) {
                0.. => Ok(result),
                _ => Err(raise_not_left(context)),
            },
            Err(ErrorSet) => {
                let error = SavedError::new();
                if leave(context) < 0 {
                    return Err(during(error, raise_not_left(context)));
                }
                error.restore();
                Err(ErrorSet)
            }
        }
    }
}

/// The body has panicked.
impl Drop for Entered<'_> {
    #[cold]
    fn drop(&mut self) {
        if leave(self.0) < 0 {
            let ErrorSet = raise_not_left(self.0);
            // SAFETY: an exception is set, and the object is alive.
            unsafe { ffi::PyErr_WriteUnraisable(self.0.as_ptr()) };
        }
    }
}

/// Leaves an entered context; negative, with an exception, if another one is current.
#[inline]
fn leave(context: &Owned) -> i32 {
    let context = context.as_ptr();
    // SAFETY: the object is a native context, as it has been entered, and is kept alive.
    unsafe { with_object_lock(context, || ffi::PyContext_Exit(context)) }
}

/// Replaces CPython's exception about a context that cannot be left by one that names the context.
#[cold]
fn raise_not_left(context: &Owned) -> ErrorSet {
    let error = ErrorSet.take();
    let object = context.as_ptr();
    // SAFETY: the object is a native context, and is kept alive.
    let is_entered = unsafe {
        with_object_lock(object, || {
            // It can be entered only if other code has left it. Then it stays left.
            let is_entered = ffi::PyContext_Enter(object) < 0;
            if is_entered {
                ffi::PyErr_Clear();
            } else {
                ffi::PyContext_Exit(object);
            }
            is_entered
        })
    };
    match error {
        Some(error) if !is_entered => ErrorSet::restore(error),
        _ => {
            let message = c"cannot exit context: %R stays entered, because code that ran in it \
                has entered another context and not exited it";
            // SAFETY: exceptions live as long as the interpreter.
            raise(unsafe { ffi::PyExc_RuntimeError }, message, object)
        }
    }
}

/// Makes an exception that has been put aside the `__context__` of the one that is raised.
#[cold]
fn during(earlier: SavedError, raised: ErrorSet) -> ErrorSet {
    let Some(later) = raised.take() else {
        earlier.restore();
        return ErrorSet;
    };
    earlier.restore();
    if let Some(earlier) = ErrorSet.take() {
        // SAFETY: both are exceptions; the reference to the earlier one is given away.
        unsafe { ffi::PyException_SetContext(later.as_ptr(), earlier.into_ptr()) };
    }
    ErrorSet::restore(later)
}

/// Whether a native context is the current one of this thread.
///
/// No public function of CPython tells which one is current, but only the current one can be left.
///
/// # Safety
///
/// `context` is a native context.
#[cold]
pub(crate) unsafe fn is_current(context: &Owned) -> Result<bool, ErrorSet> {
    let object: RawObject = context.as_ptr();
    // SAFETY: the object is a native context, which the caller keeps alive.
    unsafe {
        with_object_lock(object, || {
            if ffi::PyContext_Exit(object) < 0 {
                ffi::PyErr_Clear();
                return Ok(false);
            }
            if ffi::PyContext_Enter(object) < 0 { Err(ErrorSet) } else { Ok(true) }
        })
    }
}
