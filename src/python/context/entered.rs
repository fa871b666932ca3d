//! Entering native contexts, and leaving them on every path.
//!
//! **Architecture invariant:** no other file enters or leaves a native context. An [`Entered`]
//! context is left when the code that runs in it has returned, raised or panicked.
//!
//! `PyContext_Enter` and `PyContext_Exit` check the types of their arguments, and raise `TypeError`
//! for others than native contexts. So they are safe for any live objects.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use super::native_layout;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::free_threading::with_object_lock;
use crate::python::interpreter::{ErrorSet, Exception, Owned, SavedError, ffi, raise};
use std::mem;

/// A native context that this thread has entered last.
pub(crate) struct Entered<'a>(&'a Owned);

impl<'a> Entered<'a> {
    /// Enters a native context; `RuntimeError` if it is entered already.
    #[inline]
    pub(crate) fn new(context: &'a Owned) -> Result<Self, ErrorSet> {
        if with_object_lock(context, || enter(context)) < 0 {
            Err(ErrorSet)
        } else {
            Ok(Self(context))
        }
    }

    /// Runs `body` in the context, and leaves it.
    ///
    /// If other code has meanwhile entered another context and not left it, this context cannot be
    /// left. The `RuntimeError` names it, and has the exception of the body as its `__context__`.
    #[inline]
    pub(crate) fn run<R>(self, body: impl FnOnce() -> Result<R, ErrorSet>) -> Result<R, ErrorSet> {
        let result = body();
        // The context is left below, so the destructor must not leave it.
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
            // SAFETY: an exception is set; the object, which the report names, is alive.
            unsafe { ffi::PyErr_WriteUnraisable(self.0.as_ptr()) };
        }
    }
}

/// Enters a context; negative, with an exception, if it is entered already.
#[inline]
fn enter(context: &Owned) -> i32 {
    // SAFETY: the object is alive; the function checks its type.
    unsafe { ffi::PyContext_Enter(context.as_ptr()) }
}

/// Leaves an entered context; negative, with an exception, if another one is current.
#[inline]
fn exit(context: &Owned) -> i32 {
    // SAFETY: the object is alive; the function checks its type.
    unsafe { ffi::PyContext_Exit(context.as_ptr()) }
}

#[inline]
fn leave(context: &Owned) -> i32 {
    with_object_lock(context, || exit(context))
}

/// Replaces CPython's exception about a context that cannot be left by one that names the context.
#[cold]
fn raise_not_left(context: &Owned) -> ErrorSet {
    let error = ErrorSet.take();
    let is_entered = with_object_lock(context, || {
        // If it can be entered, other code has left it. Then it stays left.
        let is_entered = enter(context) < 0;
        if is_entered {
            clear_exception();
        } else {
            exit(context);
        }
        is_entered
    });
    match error {
        Some(error) if !is_entered => ErrorSet::restore(error),
        _ => {
            let message = c"cannot exit context: %R stays entered, because code that ran in it \
                has entered another context and not exited it";
            raise(Exception::RuntimeError, message, context)
        }
    }
}

/// Makes a saved exception the `__context__` of the one that is raised.
#[cold]
fn during(earlier: SavedError, raised: ErrorSet) -> ErrorSet {
    let Some(later) = raised.take() else {
        earlier.restore();
        return ErrorSet;
    };
    earlier.restore();
    if let Some(earlier) = ErrorSet.take() {
        // SAFETY: both are exceptions; the function takes over the reference to the earlier one.
        unsafe { ffi::PyException_SetContext(later.as_ptr(), earlier.into_ptr()) };
    }
    ErrorSet::restore(later)
}

/// Whether a native context is the current one of this thread.
///
/// No public function of CPython returns the current context, but only the current one can be left.
#[cold]
pub(crate) fn is_current(context: &Owned) -> Result<bool, ErrorSet> {
    if native_layout::is_active() {
        return Ok(native_layout::is_current(context));
    }
    with_object_lock(context, || {
        if exit(context) < 0 {
            clear_exception();
            return Ok(false);
        }
        if enter(context) < 0 { Err(ErrorSet) } else { Ok(true) }
    })
}
