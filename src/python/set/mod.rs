//! `Set`: an immutable set from which other sets are derived cheaply.
//!
//! A `Set` holds a `Map` from each element to `None`, so the operations are those of maps, and most
//! of this folder parses arguments. The price is a word for each element, and an object for each
//! set. A heap of nodes without values would avoid it, but the compiler would generate the whole
//! trie a second time.
//!
//! | file | concept |
//! | --- | --- |
//! | `class.rs` | the type `Set`, and the table of its methods |
//! | `one_element.rs` | operations on one element: look-up, `add`, `remove` |
//! | `algebra.rs` | union, intersection, difference; `\|`, `&`, `-`, `^` |
//! | `comparison.rs` | subsets, `==`, `<`; the hash of a set |
//! | `copy.rs` | copies, pickles, `repr`, hooks of other libraries |
//! | `mutation.rs` | `SetMutation` |

pub(crate) mod algebra;
pub(crate) mod class;
pub(crate) mod comparison;
pub(crate) mod copy;
pub(crate) mod mutation;
pub(crate) mod one_element;

use super::map::py_heap::{MapObject, PyHeap};
use crate::map::Trie;
use crate::python::interpreter::{
    ErrorSet, FreeList, HasFields, Instance, Owned, RawObject, TypedObject as _, create, ffi,
    typed_object, types,
};
use std::cell::Cell;
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicIsize, Ordering};

typed_object! {
    /// A `Set`.
    SetObject: SET
}

/// The fields of a set.
pub(crate) struct Set {
    /// A map from each element to `None`.
    map: MapObject,
    /// The hash of the set, -1 if it is not known.
    hash: AtomicIsize,
    weak_references: Cell<RawObject>,
}

static FREE: FreeList<8> = FreeList::new();

#[allow(unsafe_code)] // Implements the trait of types with fields.
// SAFETY: `of_trie` makes all sets, by `create`. The list of weak references starts as null, and no
// code of this module touches it.
unsafe impl HasFields for SetObject {
    type Fields = Set;

    const WEAK_REFERENCES: Option<usize> =
        Some(offset_of!(Instance<Set>, fields) + offset_of!(Set, weak_references));

    /// A set holds a map, whose deallocation bounds the depth of the stack.
    const IS_NESTED: bool = false;

    fn references(fields: &Set) -> [Option<RawObject>; 4] {
        [Some(fields.map.as_ptr()), None, None, None]
    }

    #[inline]
    fn free_list(_: *mut ffi::PyTypeObject) -> Option<&'static FreeList<8>> {
        Some(&FREE)
    }
}

impl SetObject {
    /// A new set of the keys of a map whose values are `None`.
    pub(crate) fn of_trie(trie: Trie<PyHeap>) -> Result<Owned, ErrorSet> {
        let map = MapObject::from_trie(trie);
        // A set of elements that the garbage collector need not track need not be tracked either.
        let is_tracked = map.is_tracked();
        let fields =
            Set { map, hash: AtomicIsize::new(-1), weak_references: Cell::new(ptr::null_mut()) };
        create::<Self>(&types::SET, fields, is_tracked).map(Self::into_owned)
    }

    /// The set of these elements: this set itself if they are its own.
    fn derived(&self, trie: Trie<PyHeap>) -> Result<Owned, ErrorSet> {
        if trie.ptr_eq(&self.map().trie()) {
            return Ok((**self).clone());
        }
        Self::of_trie(trie)
    }

    /// The map from each element to `None`.
    #[inline(always)]
    pub(crate) fn map(&self) -> &MapObject {
        &self.fields().map
    }

    /// The hash of the set, if it is cached.
    fn cached_hash(&self) -> Option<isize> {
        let hash = self.fields().hash.load(Ordering::Relaxed);
        (hash != -1).then_some(hash)
    }

    fn cache_hash(&self, hash: isize) {
        self.fields().hash.store(hash, Ordering::Relaxed);
    }
}
