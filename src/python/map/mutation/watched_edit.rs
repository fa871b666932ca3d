//! Edits of a mutation whose keys may edit it while they are compared.
//!
//! An edit looks for its key in a shared copy of the map, which does not change. If the mutation
//! has been edited during a comparison, the search ends at once and starts again, as that of
//! `dict`. After a number of attempts the edit raises `RuntimeError`.

use super::MutationObject;
use crate::map::{Compare, Edited, Probe, Retired, Trie};
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{ErrorSet, Owned};
use crate::python::map::key::{ByEquality, Key};
use crate::python::map::py_heap::PyHeap;
use std::cell::Cell;

/// The number of searches before an edit gives up, because the mutation was edited during each.
///
/// An `__eq__` that edits the mutation once or twice succeeds; one that always does so must not run
/// forever. Without the GIL, edits of other threads count, too, and may be frequent.
const ATTEMPTS: u32 = if FREE_THREADED { 10_000 } else { 100 };

/// Ends a search at the first comparison during which the mutation has been edited. If the search
/// continued, each comparison could add another key to compare with.
pub(crate) struct Watch<'a> {
    mutation: &'a MutationObject,
    /// Edits when the search began.
    edits: u64,
    has_ended: Cell<bool>,
}

impl Watch<'_> {
    /// Passes on the result of comparing two keys. The error that ends a search has no exception.
    #[inline]
    fn after(&self, same: bool) -> Result<bool, ErrorSet> {
        if !same && self.mutation.edits() != self.edits {
            self.has_ended.set(true);
            return Err(ErrorSet);
        }
        Ok(same)
    }
}

/// A key to look for under watch.
pub(crate) struct Watched<'a>(pub(crate) Key<'a>, pub(crate) &'a Watch<'a>);

impl Probe<PyHeap> for Watched<'_> {
    #[inline]
    fn matches(&mut self, stored: &Owned, has_hash: impl Fn() -> bool) -> Result<bool, ErrorSet> {
        let same = self.0.matches(stored, has_hash)?;
        self.1.after(same)
    }

    fn rehash(&self) -> Option<u64> {
        self.0.rehash()
    }
}

/// Compares the keys of two maps under watch.
pub(crate) struct WatchedKeys<'a>(pub(crate) ByEquality, pub(crate) &'a Watch<'a>);

impl Compare<PyHeap> for WatchedKeys<'_> {
    fn same(&mut self, a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
        let same = self.0.same(a, b)?;
        self.1.after(same)
    }

    fn equal(&mut self, a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
        self.0.equal(a, b)
    }
}

/// Changes a mutation.
///
/// `find` runs on a shared copy of the map. It may run user code, and returns `None` if nothing
/// needs to be changed. If the mutation has been edited meanwhile, `find` runs again; too many
/// attempts raise `RuntimeError`. `edit` runs once, on the map itself, and runs no user code. It
/// returns the objects that it has taken out of the map. They, and the retired node, are dropped
/// after the edit, when the mutation can be used again: a finalizer or the callback of a weak
/// reference may use it.
pub(crate) fn change<F, R>(
    mutation: &MutationObject,
    mut find: impl FnMut(&Trie<PyHeap>, &Watch<'_>) -> Result<Option<F>, ErrorSet>,
    mut edit: impl FnMut(&mut Trie<PyHeap>, F) -> Edited<PyHeap, R>,
) -> Result<Option<R>, ErrorSet> {
    for _ in 0..ATTEMPTS {
        mutation.check_open()?;
        let (map, before) = mutation.with(|state| (state.map.clone(), state.edits));
        let watch = Watch { mutation, edits: before, has_ended: Cell::new(false) };
        let found = find(&map, &watch);
        // This may be the last reference to the map, and so run the finalizers of values.
        drop(map);
        if watch.has_ended.get() {
            continue;
        }
        let mut found = found?;
        let edited = mutation.with(|state| {
            if state.edits != before || state.finished {
                return None;
            }
            let Some(found) = found.take() else {
                return Some((Ok(None), Retired::none()));
            };
            let _paused = GcPause::new();
            let (result, retired) = edit(&mut state.map, found);
            state.edits += u64::from(result.is_ok());
            Some((result.map(Some), retired))
        });
        if let Some((result, retired)) = edited {
            drop(retired);
            return result;
        }
    }
    Err(mutation.raise_changed(
        c"MapMutation changed during the comparison of its keys",
        c"SetMutation changed during the comparison of its elements",
    ))
}
