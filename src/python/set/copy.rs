//! Copies of sets, pickles, `repr`, and hooks that other libraries call.

use super::SetObject;
use crate::map::Trie;
use crate::python::interpreter::{
    ErrorSet, Owned, RecursionGuard, exactly, lazy_import, repr_of_container, types,
};
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

/// The arguments with which rich shows the class as called.
pub(super) fn rich_repr(set: &SetObject) -> Result<Owned, ErrorSet> {
    if set.map().len() == 0 {
        return Owned::tuple([]);
    }
    Owned::tuple([&set.to_set()?])
}

pub(super) fn pretty_repr(set: &SetObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [printer, cycle] = exactly(c"_repr_pretty_", arguments)?;
    lazy_import::PRETTY_SET.get()?.call([set, printer, cycle])
}

pub(super) fn dask_token(set: &SetObject) -> Result<Owned, ErrorSet> {
    lazy_import::DASK_TOKEN_OF_SET.get()?.call_one(set)
}

pub(super) fn pydantic_schema(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [source, handler] = exactly(c"__get_pydantic_core_schema__", arguments)?;
    lazy_import::PYDANTIC_SCHEMA_OF_SET.get()?.call([source, handler])
}
