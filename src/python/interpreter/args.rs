//! Arguments of methods.

#![allow(unsafe_code)] // Formats a message through the C API.

use super::{ErrorSet, Owned, ffi};
use std::ffi::CStr;

/// Raises `TypeError` unless the number of arguments is in `least..=most`.
#[inline]
pub(crate) fn check_count(
    name: &'static CStr,
    arguments: &[Owned],
    least: usize,
    most: usize,
) -> Result<(), ErrorSet> {
    if (least..=most).contains(&arguments.len()) {
        return Ok(());
    }
    Err(raise_arguments(name, least as isize, most as isize, arguments.len() as isize))
}

/// Exactly `N` arguments.
#[inline]
pub(crate) fn exactly<'a, const N: usize>(
    name: &'static CStr,
    arguments: &'a [Owned],
) -> Result<&'a [Owned; N], ErrorSet> {
    check_count(name, arguments, N, N)?;
    arguments.try_into().map_err(|_| ErrorSet)
}

/// The body of `get(key, default=None, /)` of a mapping in which `value_of` finds values.
#[inline]
pub(crate) fn get_or_default(
    arguments: &[Owned],
    value_of: impl FnOnce(&Owned) -> Result<Option<Owned>, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    check_count(c"get", arguments, 1, 2)?;
    match value_of(&arguments[0])? {
        Some(value) => Ok(value),
        None => Ok(arguments.get(1).cloned().unwrap_or_else(Owned::none)),
    }
}

/// Raises the `TypeError` that `name` got a wrong number of arguments.
#[cold]
pub(crate) fn raise_arguments(
    name: &'static CStr,
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
    // SAFETY: the format has two `%s` and a `%zd` before a `%s` and a `%zd`: the arguments are
    // C strings, which live as long as the program, and numbers of that size.
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
