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

/// The value of the only keyword that the function `function` takes; `None` if it is not given. Any
/// other keyword raises `TypeError`.
///
/// # Safety
///
/// `arguments` has `count` positional arguments and behind them the values of the keywords, whose
/// names are in the tuple `keywords`, which is null if there are none. All of them are alive.
#[inline]
pub(crate) unsafe fn keyword_argument(
    function: &'static std::ffi::CStr,
    keyword: &'static std::ffi::CStr,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> Result<Option<RawObject>, ErrorSet> {
    // SAFETY: indices are below the length of the tuple, whose items are `str`; behind the
    // positional arguments there is one value for each. The format matches the arguments.
    unsafe {
        let named = if keywords.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(keywords) };
        let mut value = None;
        for index in 0..named {
            let given = ffi::PyTuple_GET_ITEM(keywords, index);
            if ffi::PyUnicode_CompareWithASCIIString(given, keyword.as_ptr()) != 0 {
                ffi::calling!(PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"%s() got an unexpected keyword argument %R".as_ptr(),
                    function.as_ptr(),
                    given,
                ));
                return Err(ErrorSet);
            }
            value = Some(*arguments.offset(count + index));
        }
        Ok(value)
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
