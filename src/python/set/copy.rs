//! Copies of sets, pickles, and `repr`.

use super::SetObject;
use crate::map::Trie;
use crate::python::interpreter::{ErrorSet, Owned, RecursionGuard, repr_of_container, types};
use crate::python::map::copy::{Copied, deep_copy};
use crate::python::map::py_heap::PyHeap;

/// A set is immutable, so it is its own copy.
pub(super) fn copy(set: &SetObject) -> Result<Owned, ErrorSet> {
    Ok((**set).clone())
}

pub(super) fn deepcopy(set: &SetObject, memo: &Owned) -> Result<Owned, ErrorSet> {
    match deep_copy(set.map(), set, memo)? {
        Copied::Earlier(copy) => Ok(copy),
        Copied::Now(elements) => set.derived(elements),
    }
}

/// `Set` and a new list of the elements.
pub(super) fn reduce(set: &SetObject) -> Result<Owned, ErrorSet> {
    let elements = Owned::list()?;
    for (_, entry) in &*set.map().trie() {
        elements.append(&entry.key)?;
    }
    Owned::tuple([&types::SET.object(), &Owned::tuple([&elements])?])
}

/// `ctxvars.Set({...})`
pub(super) fn repr(set: &SetObject) -> Result<Owned, ErrorSet> {
    if set.map().len() == 0 {
        return Owned::text(c"ctxvars.Set()");
    }
    repr_of_container(set, c"ctxvars.Set({...})", || {
        Owned::format(c"ctxvars.Set({%U})", &elements(&set.map().trie())?)
    })
}

/// The elements as in the repr of a `set`, without the braces.
pub(super) fn elements(set: &Trie<PyHeap>) -> Result<Owned, ErrorSet> {
    let _nested = RecursionGuard::counted(c" while getting the repr of a Set")?;
    let parts = Owned::list()?;
    for (_, entry) in set {
        parts.append(&Owned::format(c"%R", &entry.key)?)?;
    }
    parts.join(c", ")
}
