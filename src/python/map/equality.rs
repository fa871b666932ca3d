//! `==` and `!=` of maps and mutations with any mapping.
//!
//! A mapping whose class defines its own equality knows better what it equals, such as one that
//! ignores the case of its keys. It answers first, as a subclass of `dict` does beside a `dict`, and
//! so both orders of the operands give one answer. If it has none, the contents are compared, also
//! beside mappings that know only their own kind: `OrderedDict`, `Counter`, `frozendict`.

#![allow(unsafe_code)] // Calls a slot of a foreign class.

use super::entries;
use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, ffi, lazy_import, name,
};
use std::ffi::c_int;
use std::ptr;

/// The `tp_richcompare` of maps and mutations: `are_equal` compares with the content of `other`.
///
/// # Safety
///
/// `object` is a map or a mutation; both are kept alive by the caller.
pub(crate) unsafe fn compare(
    object: RawObject,
    other: RawObject,
    operator: c_int,
    are_equal: impl FnOnce() -> Result<bool, ErrorSet>,
) -> RawObject {
    // SAFETY: the caller keeps both alive; `NotImplemented` lives as long as the interpreter.
    catch_panic(|| unsafe {
        let (equal, not_equal) = (operator == ffi::Py_EQ, operator == ffi::Py_NE);
        if !(equal || not_equal) || !entries::is_mapping(other)? {
            return Ok(Owned::from_borrowed(ffi::Py_NotImplemented()).into_ptr());
        }
        if let Some(answer) = answer_of(other, object, operator)? {
            return Ok(answer.into_ptr());
        }
        Ok(ffi::PyBool_FromLong((are_equal()? == equal).into()))
    })
}

/// What `other == object` (or `!=`) says, if the class of `other` defines its own equality and that
/// has an answer.
///
/// # Safety
///
/// Both are kept alive by the caller.
unsafe fn answer_of(
    other: RawObject,
    object: RawObject,
    operator: c_int,
) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: the caller keeps both alive, and an object keeps its class alive.
    unsafe {
        let Some(compare) = own_equality(other)? else { return Ok(None) };
        let _nested = RecursionGuard::uncounted(c" in comparison")?;
        let answer = Owned::new(compare.call_slot((other, object, operator)))?;
        Ok((!ptr::eq(answer.as_ptr(), ffi::Py_NotImplemented())).then_some(answer))
    }
}

/// The comparison of a mapping, unless it is known to compare contents as maps do.
///
/// # Safety
///
/// `mapping` is alive.
unsafe fn own_equality(mapping: RawObject) -> Result<Option<ffi::richcmpfunc>, ErrorSet> {
    // SAFETY: the caller keeps the mapping alive, and that keeps its class alive.
    unsafe {
        let class = ffi::Py_TYPE(mapping);
        if types::MAP.is_type_of(mapping) || types::MAP_MUTATION.is_type_of(mapping) {
            return Ok(None);
        }
        let Some(compare) = (*class).tp_richcompare else { return Ok(None) };
        let is_that_of = |base: *mut ffi::PyTypeObject| {
            (*base).tp_richcompare.is_some_and(|it| ptr::fn_addr_eq(it, compare))
        };
        if is_that_of(&raw mut ffi::PyDict_Type) || is_that_of(&raw mut ffi::PyBaseObject_Type) {
            return Ok(None);
        }
        // A class of Python has one slot for all comparisons, whichever of them it inherits.
        let own = Owned::new(ffi::PyObject_GetAttr(class.cast(), name!("__eq__")))?;
        let inherited =
            Owned::new(ffi::PyObject_GetAttr(lazy_import::MAPPING.get()?, name!("__eq__")))?;
        Ok((!ptr::eq(own.as_ptr(), inherited.as_ptr())).then_some(compare))
    }
}
