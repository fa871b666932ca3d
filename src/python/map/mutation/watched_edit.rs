//! Edits of a mutation whose keys may edit it while they are compared.
//!
//! An edit looks for its key in a shared copy of the map, which does not change. If the mutation has
//! been edited during a comparison, the search ends at once and starts again, as that of `dict`. After
//! a number of attempts the edit raises `RuntimeError`.

#![allow(unsafe_code)] // Calls what is unsafe of the mutation.

use super::{check_open, edits, with};
use crate::map::{Compare, Edited, Probe, Retired, Trie};
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, ffi, raise_message};
use crate::python::map::key::{ByEquality, Key};
use crate::python::map::py_heap::PyHeap;
use std::cell::Cell;

/// How often an edit looks for its key before it gives up, because the mutation has been edited each
/// time. A `__eq__` that edits it once or twice gets through; one that does so always must not run
/// for ever. Without a GIL, edits of other threads count too, which may come often.
const ATTEMPTS: u32 = if FREE_THREADED { 10_000 } else { 100 };

/// Ends a search at the first comparison during which the mutation has been edited. If the search
/// continued, each of its comparisons could add a key to compare with.
pub(crate) struct Watch {
    object: RawObject,
    /// Edits when the search began.
    edits: u64,
    has_ended: Cell<bool>,
}

impl Watch {
    /// The result of comparing two keys. The error that ends the search has no exception.
    #[inline]
    fn after(&self, same: bool) -> Result<bool, ErrorSet> {
        // SAFETY: `change` keeps the mutation alive.
        if !same && unsafe { edits(self.object) } != self.edits {
            self.has_ended.set(true);
            return Err(ErrorSet);
        }
        Ok(same)
    }
}

/// A key to look for under watch.
pub(crate) struct Watched<'a>(pub(crate) Key<'a>, pub(crate) &'a Watch);

impl Probe<PyHeap> for Watched<'_> {
    #[inline]
    fn matches(&mut self, stored: &Owned, has_hash: impl Fn() -> bool) -> Result<bool, ErrorSet> {
        let same = self.0.matches(stored, has_hash)?;
        self.1.after(same)
    }

    fn rehash(&self) -> Option<u64> {
        self.0.rehash()
    }

    fn is_identical(&self, stored: &Owned) -> bool {
        self.0.is_identical(stored)
    }
}

/// Compares the keys of two maps under watch.
pub(crate) struct WatchedKeys<'a>(pub(crate) ByEquality, pub(crate) &'a Watch);

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
/// `find` runs on a shared copy of the map, may run user code, and may find that there is nothing
/// to do. If the mutation has been edited meanwhile, `find` runs again; `RuntimeError` after too many
/// attempts. `edit` runs on the map itself, once, and runs no user code: it returns what it took out
/// of the map. The retired node is dropped when the mutation can be used again, since a callback of
/// a weak reference or a finaliser may use it.
///
/// # Safety
///
/// `object` is an instance.
pub(crate) unsafe fn change<F, R>(
    object: RawObject,
    mut find: impl FnMut(&Trie<PyHeap>, &Watch) -> Result<Option<F>, ErrorSet>,
    mut edit: impl FnMut(&mut Trie<PyHeap>, F) -> Edited<PyHeap, R>,
) -> Result<Option<R>, ErrorSet> {
    // SAFETY: `object` is an instance, and neither closure runs user code under `with`.
    unsafe {
        for _ in 0..ATTEMPTS {
            check_open(object)?;
            let (map, before) = with(object, |this| (this.map.clone(), this.edits));
            let watch = Watch { object, edits: before, has_ended: Cell::new(false) };
            let found = find(&map, &watch);
            // This may be the last reference to it, and free values with finalisers.
            drop(map);
            if watch.has_ended.get() {
                continue;
            }
            let mut found = found?;
            let edited = with(object, |this| {
                if this.edits != before || this.finished {
                    return None;
                }
                let Some(found) = found.take() else {
                    return Some((Ok(None), Retired::none()));
                };
                let _paused = GcPause::new();
                let (result, retired) = edit(&mut this.map, found);
                this.edits += u64::from(result.is_ok());
                Some((result.map(Some), retired))
            });
            if let Some((result, retired)) = edited {
                drop(retired);
                return result;
            }
        }
        let message = c"MapMutation changed during the comparison of its keys";
        Err(raise_message(ffi::PyExc_RuntimeError, message))
    }
}
