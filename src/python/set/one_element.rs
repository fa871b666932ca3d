//! The operations of `Set` on one element.

use super::SetObject;
use crate::map::HashOf;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::{ErrorSet, Exception, Owned, raise_key_error};
use crate::python::map::key::{self, Key};
use crate::python::map::py_heap::PyHeap;

/// The hash of an element.
#[inline(always)]
pub(super) fn hash(element: &Owned) -> Result<HashOf<PyHeap>, ErrorSet> {
    key::hash_as(element, c"cannot use '%T' as a set element (%S)")
}

/// Calls `body` with an element to look for and its hash. As in `frozenset`, a `set`, which has no
/// hash, stands for the equal `frozenset`.
#[inline(always)]
pub(super) fn sought<R>(
    element: &Owned,
    body: impl FnOnce(HashOf<PyHeap>, &Owned) -> Result<R, ErrorSet>,
) -> Result<R, ErrorSet> {
    match hash(element) {
        Ok(hash) => body(hash, element),
        Err(ErrorSet) => {
            let frozen = frozen(element)?;
            body(hash(&frozen)?, &frozen)
        }
    }
}

/// The `frozenset` for a `set` that could not be hashed.
#[cold]
fn frozen(element: &Owned) -> Result<Owned, ErrorSet> {
    if !element.is_set_like() || !Exception::TypeError.is_set() {
        return Err(ErrorSet);
    }
    clear_exception();
    element.to_frozenset()
}

#[inline(always)]
pub(super) fn contains(set: &SetObject, element: &Owned) -> Result<bool, ErrorSet> {
    sought(element, |hash, element| Ok(set.map().value_of(hash, Key(element))?.is_some()))
}

pub(super) fn add(set: &SetObject, element: &Owned) -> Result<Owned, ErrorSet> {
    let hash = hash(element)?;
    let mut new = set.map().share();
    // If the set has the element already, the root stays, since all values are one object.
    new.insert(hash, element.clone(), Owned::none(), |new, stored| key::are_same(stored, new))?;
    set.derived(new)
}

/// The set without `element`, `None` if it does not have the element.
fn without(set: &SetObject, element: &Owned) -> Result<Option<Owned>, ErrorSet> {
    sought(element, |hash, element| {
        let mut new = set.map().share();
        let removed = new.remove(hash, Key(element))?;
        removed.map(|_| SetObject::of_trie(new)).transpose()
    })
}

pub(super) fn remove(set: &SetObject, element: &Owned) -> Result<Owned, ErrorSet> {
    without(set, element)?.ok_or_else(|| raise_key_error(element))
}

pub(super) fn discard(set: &SetObject, element: &Owned) -> Result<Owned, ErrorSet> {
    Ok(without(set, element)?.unwrap_or_else(|| (**set).clone()))
}
