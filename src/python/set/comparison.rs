//! Comparing sets: subsets, `==` and the order of `frozenset`; the hash of a set.

use super::SetObject;
use super::algebra::keys_of;
use crate::python::interpreter::{ErrorSet, Owned, RecursionGuard, ffi, lazy_import};
use crate::python::map::hash::{finished, spread};
use crate::python::map::key::ByMembership;
use crate::python::map::view;
use std::ffi::c_int;

/// Whether `object` is an instance of `collections.abc.Set`.
pub(super) fn is_set(object: &Owned) -> Result<bool, ErrorSet> {
    if view::is_set_like(object) {
        return Ok(true);
    }
    object.is_instance(lazy_import::ABSTRACT_SET.get()?)
}

/// `set == other`, `set < other` ...: by the elements, with any set.
pub(super) fn compare(set: &SetObject, other: &Owned, operator: c_int) -> Result<Owned, ErrorSet> {
    if !is_set(other)? {
        return Ok(Owned::not_implemented());
    }
    let _nested = RecursionGuard::counted(c" in comparison")?;
    view::compare_sets(set, other, operator)
}

pub(super) fn is_disjoint(set: &SetObject, other: &Owned) -> Result<Owned, ErrorSet> {
    view::are_disjoint(set, other).map(Owned::from_bool)
}

pub(super) fn is_subset(set: &SetObject, other: &Owned) -> Result<Owned, ErrorSet> {
    let is_subset = if view::is_container(other) {
        set.map().len() <= other.length()? && view::all(set, other, true)?
    } else {
        set.map().trie().is_subset(&keys_of(other)?, &mut ByMembership::new(false))?
    };
    Ok(Owned::from_bool(is_subset))
}

pub(super) fn is_superset(set: &SetObject, other: &Owned) -> Result<Owned, ErrorSet> {
    view::all(other, set, true).map(Owned::from_bool)
}

/// `hash(set)`: that of the equal `frozenset`. The set caches it.
pub(super) fn hash(set: &SetObject) -> Result<ffi::Py_hash_t, ErrorSet> {
    if let Some(hash) = set.cached_hash() {
        return Ok(hash);
    }
    let _nested = RecursionGuard::uncounted(c" while hashing a Set")?;
    let mut sum = 0;
    for (_, entry) in &*set.map().trie() {
        sum ^= spread(entry.key.hash()? as u64);
    }
    let hash = finished(sum, set.map().len());
    set.cache_hash(hash);
    Ok(hash)
}
