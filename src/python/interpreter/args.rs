//! Arguments of methods.

#![allow(unsafe_code)] // Reads arrays of arguments.

use super::{ErrorSet, Owned, RawObject, ffi};

/// The body of `get(key, default=None, /)` of a mapping in which `value_of` finds values.
///
/// # Safety
///
/// There are `count` arguments, which are alive.
#[inline]
pub(crate) unsafe fn get_or_default(
    arguments: *const RawObject,
    count: isize,
    value_of: impl FnOnce(RawObject) -> Result<Option<Owned>, ErrorSet>,
) -> Result<RawObject, ErrorSet> {
    if !(1..=2).contains(&count) {
        return Err(raise_arguments(c"get", 1, 2, count));
    }
    // SAFETY: as the caller promises.
    unsafe {
        if let Some(value) = value_of(*arguments)? {
            return Ok(value.into_ptr());
        }
        let default = if count == 2 { *arguments.add(1) } else { ffi::Py_None() };
        Ok(Owned::from_borrowed(default).into_ptr())
    }
}

/// Raises the `TypeError` that `name` got a number of arguments other than it wants.
#[cold]
pub(crate) fn raise_arguments(
    name: &'static std::ffi::CStr,
    least: isize,
    most: isize,
    got: isize,
) -> ErrorSet {
    let (bound, count) = if least == most {
        (c"", most)
    } else if got < least {
        (c"at least ", least)
    } else {
        (c"at most ", most)
    };
    let plural = if count == 1 { c"" } else { c"s" };
    // SAFETY: the lock is held, and the format matches the arguments.
    unsafe {
        ffi::calling!(PyErr_Format(
            ffi::PyExc_TypeError,
            c"%s expected %s%zd argument%s, got %zd".as_ptr(),
            name.as_ptr(),
            bound.as_ptr(),
            count,
            plural.as_ptr(),
            got,
        ));
    }
    ErrorSet
}
