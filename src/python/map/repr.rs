//! The `repr` of a map.

use super::py_heap::MapObject;
use crate::python::interpreter::{ErrorSet, Owned, RecursionGuard, repr_of_container};

/// `ctxvars.Map({...})`; the keys are not hashed.
pub(super) fn repr(map: &MapObject) -> Result<Owned, ErrorSet> {
    repr_of_container(map, c"ctxvars.Map({...})", || {
        Owned::format(c"ctxvars.Map({%U})", &entries(map)?)
    })
}

/// The entries as in the repr of a dict, without the braces.
pub(crate) fn entries(map: &MapObject) -> Result<Owned, ErrorSet> {
    let _nested = RecursionGuard::counted(c" while getting the repr of a Map")?;
    let parts = Owned::list()?;
    for (_, entry) in &*map.trie() {
        parts.append(&Owned::format_two(c"%R: %R", &entry.key, &entry.value)?)?;
    }
    parts.join(c", ")
}
