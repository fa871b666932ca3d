//! The state of the generators and coroutines below proxies.

#![allow(unsafe_code)] // Calls the C API of generators.

use super::proxy::innermost;
use crate::python::interpreter::{ErrorSet, Owned, ffi, name};

pub(crate) fn is_generator(object: &Owned) -> bool {
    // SAFETY: the object is alive; the function reads its type.
    unsafe { ffi::PyGen_CheckExact(object.as_ptr()) != 0 }
}

pub(crate) fn is_coroutine(object: &Owned) -> bool {
    // SAFETY: the object is alive; the function reads its type.
    unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) != 0 }
}

pub(crate) fn is_async_generator(object: &Owned) -> bool {
    // SAFETY: the object is alive; the function reads its type.
    unsafe { ffi::PyAsyncGen_CheckExact(object.as_ptr()) != 0 }
}

/// Whether a generator can be awaited: `types.coroutine` has marked its code.
pub(crate) fn is_awaitable(generator: &Owned) -> Result<bool, ErrorSet> {
    let flags = generator.attribute(name!("gi_code"))?.attribute(name!("co_flags"))?.to_long()?;
    Ok(flags & std::ffi::c_long::from(ffi::CO_ITERABLE_COROUTINE) != 0)
}

/// Whether `original` is in the middle of a step.
pub(crate) fn is_running(original: &Owned) -> Result<bool, ErrorSet> {
    let original = innermost(original);
    for name in [name!("gi_running"), name!("cr_running"), name!("ag_running")] {
        if let Some(value) = original.optional_attribute(name)? {
            return value.is_true();
        }
    }
    Ok(false)
}

/// Whether `original` is in a step, and refuses to make another one inside of it.
pub(crate) fn refuses(original: &Owned) -> Result<bool, ErrorSet> {
    Ok((is_generator(original) || is_coroutine(original)) && is_running(original)?)
}
