//! `==` and `!=` of maps and mutations with any mapping.
//!
//! A mapping whose type defines its own equality, such as one that ignores the case of its keys,
//! answers first. A subclass of `dict` does so beside a `dict`, too. Thus both orders of the
//! operands give one answer. If the mapping has no answer, the contents are compared. They are also
//! compared with mappings that are equal only to others of their type: `OrderedDict`, `Counter`,
//! `frozendict`.

#![allow(unsafe_code)] // Calls a slot of a foreign type.

use super::entries::{self, Entries};
use super::key::ByEquality;
use super::py_heap::MapObject;
use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::{
    ErrorSet, Owned, RecursionGuard, TypedObject as _, ffi, lazy_import, name, types,
};
use std::ffi::c_int;
use std::ptr;

/// The `tp_richcompare` of maps and mutations; `are_equal` compares with the contents of `other`.
pub(crate) fn compare(
    object: &Owned,
    other: &Owned,
    operator: c_int,
    are_equal: impl FnOnce() -> Result<bool, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    let (equal, not_equal) = (operator == ffi::Py_EQ, operator == ffi::Py_NE);
    if !(equal || not_equal) || !entries::is_mapping(other)? {
        return Ok(Owned::not_implemented());
    }
    if let Some(answer) = answer_of(other, object, operator)? {
        return Ok(answer);
    }
    Ok(Owned::from_bool(are_equal()? == equal))
}

/// Whether a map has the keys of a mapping, and equal values.
pub(crate) fn are_equal(map: &MapObject, other: &Owned) -> Result<bool, ErrorSet> {
    let mut compare = ByEquality::within(RecursionGuard::counted(c" in comparison")?);
    if let Some(other) = MapObject::of(other) {
        return map.trie().equal(&other.trie(), &mut compare);
    }
    if other.length()? != map.len() {
        return Ok(false);
    }
    let mut entries = Entries::default();
    entries.extend(other)?;
    map.trie().equal(&entries.into_map()?, &mut compare)
}

/// The result of `other == object` (or `!=`), if the type of `other` defines its own equality, and
/// that has an answer.
fn answer_of(other: &Owned, object: &Owned, operator: c_int) -> Result<Option<Owned>, ErrorSet> {
    let Some(compare) = own_equality(other)? else { return Ok(None) };
    let _nested = RecursionGuard::uncounted(c" in comparison")?;
    // SAFETY: the slot is that of the type of `other`, and gets an instance of it first.
    let answer =
        unsafe { Owned::new(compare.call_slot((other.as_ptr(), object.as_ptr(), operator)))? };
    Ok((!answer.is_not_implemented()).then_some(answer))
}

/// The comparison of a mapping, unless it is known to compare contents as maps do.
fn own_equality(mapping: &Owned) -> Result<Option<ffi::richcmpfunc>, ErrorSet> {
    if types::MAP.is_type_of(mapping) || types::MAP_MUTATION.is_type_of(mapping) {
        return Ok(None);
    }
    // SAFETY: the mapping keeps its type alive, and the types of the interpreter live as long as it
    // does. Slots of a type change only if Python code changes the type.
    let compare = unsafe {
        let Some(compare) = (*ffi::Py_TYPE(mapping.as_ptr())).tp_richcompare else {
            return Ok(None);
        };
        let is_that_of = |base: *mut ffi::PyTypeObject| {
            (*base).tp_richcompare.is_some_and(|it| ptr::fn_addr_eq(it, compare))
        };
        if is_that_of(&raw mut ffi::PyDict_Type) || is_that_of(&raw mut ffi::PyBaseObject_Type) {
            return Ok(None);
        }
        compare
    };
    // A type made by a class statement has one slot for all comparisons, inherited or not.
    let own = mapping.type_object().attribute(name!("__eq__"))?;
    let inherited = lazy_import::MAPPING.get()?.attribute(name!("__eq__"))?;
    Ok((!own.is(&inherited)).then_some(compare))
}
