//! Pickling maps.

use super::py_heap::MapObject;
use crate::python::interpreter::{ErrorSet, Method, Owned, types};

/// `Map` and a new dict of the entries.
///
/// In a cycle through a value, pickle calls this again for the map. In that second round it has
/// pickled the value already, and the map that it makes then is the one that the first round uses.
fn reduce(map: &MapObject) -> Result<Owned, ErrorSet> {
    let entries = Owned::dict()?;
    for (_, entry) in &*map.trie() {
        entries.set_item(&entry.key, &entry.value)?;
    }
    Owned::tuple([&types::MAP.object(), &Owned::tuple([&entries])?])
}

pub(super) fn methods() -> Vec<Method<MapObject>> {
    vec![Method::without_arguments(
        c"__reduce__",
        reduce,
        c"__reduce__($self, /)\n--\n\n\
        Return the constructor and its arguments, for pickle. O(n).\n\n\
        >>> import ctxvars, pickle\n\
        >>> pickle.loads(pickle.dumps(ctxvars.Map(a=1)))\n\
        ctxvars.Map({'a': 1})",
    )]
}
