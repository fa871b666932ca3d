//! Variables that do not keep their values alive.
//!
//! The bindings hold a weak reference in place of the value. When the value is gone, the variable
//! reads as unset, and the weak reference stays until the variable is set, reset or deleted.

use crate::python::context::native;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::{ErrorSet, Exception, Owned, raise};

/// The weak reference that the bindings hold for a value.
#[cold]
pub(super) fn reference(value: &Owned) -> Result<Owned, ErrorSet> {
    native::weak_reference(value).map_err(|ErrorSet| {
        if !Exception::TypeError.is_set() {
            return ErrorSet;
        }
        clear_exception();
        let message = c"cannot set a weak variable to %R, to which there can be no weak references";
        raise(Exception::TypeError, message, value)
    })
}

/// The value of a weak reference that bindings hold; `None` if the value is gone.
#[cold]
pub(super) fn referent(stored: Option<Owned>) -> Result<Option<Owned>, ErrorSet> {
    match stored {
        Some(reference) => native::referenced(&reference),
        None => Ok(None),
    }
}
