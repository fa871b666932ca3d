//! A located key of a map that stays mutably borrowed, for Rust programs: the key is compared once,
//! whatever operations follow.

#![allow(unsafe_code)] // Keeps the address of an entry while the map is borrowed mutably.

use super::get_mut::unshared_entry;
use super::one_walk::{insert_missing, remove_found};
use super::{Location, Place, Retired};
use crate::map::hash::Hash;
use crate::map::heap::arc::ArcHeap;
use crate::map::heap::{CloningHeap, Heap};
use crate::map::node::reference::NodeRef;
use crate::map::node::unshared_path::UnsharedPath;
use crate::map::node::{Contents, EntryOf};
use crate::map::search::{PathEnd, Probe, path_end};
use crate::map::trie::Trie;
use crate::map::tuning::Shape;
use core::convert::Infallible;
use core::ptr::NonNull;

/// A key of a map, or the place of a key that is missing.
pub(crate) enum Located<'a, H: Heap> {
    Found(Found<'a, H>),
    Missing(Missing<'a, H>),
}

/// An entry of a map.
pub(crate) struct Found<'a, H: Heap> {
    trie: &'a mut Trie<H>,
    hash: Hash,
    /// The index of the entry in its leaf.
    index: usize,
    /// The address of the entry, if no node on the path to it is shared.
    entry: Option<EntryPtr<H>>,
}

/// The place of a key that is not in the map.
pub(crate) struct Missing<'a, H: Heap> {
    trie: &'a mut Trie<H>,
    hash: Hash,
}

/// The address of an entry in an unshared leaf, whose map is borrowed mutably.
struct EntryPtr<H: Heap>(NonNull<EntryOf<H>>);

// SAFETY: the pointer gives access to an entry of a node to which the borrowed map owns the only
// reference. So the conditions are those of sending that reference.
unsafe impl<H: Heap> Send for EntryPtr<H> where NodeRef<H>: Send {}
// SAFETY: a shared pointer gives shared access to an entry, as a shared reference to its node.
unsafe impl<H: Heap> Sync for EntryPtr<H> where NodeRef<H>: Sync {}

impl<K, V, T: Default, S: Shape> Trie<ArcHeap<K, V, T, Infallible, S>> {
    /// Locates the key with `hash` that matches the probe, for edits that follow. O(log n).
    #[inline]
    pub(crate) fn locate_mut(
        &mut self,
        hash: Hash,
        mut probe: impl Probe<ArcHeap<K, V, T, Infallible, S>>,
    ) -> Located<'_, ArcHeap<K, V, T, Infallible, S>> {
        let mut path = UnsharedPath::from(self.root_slot_mut(), hash);
        if !path.walk() {
            return self.locate_shared(hash, probe);
        }
        let Some(Contents::Leaf(leaf)) = path.leaf().map(NodeRef::contents) else {
            return Located::Missing(Missing { trie: self, hash });
        };
        let Ok(index) = leaf.index_of(hash, &mut probe);
        match index {
            Some(index) => {
                let entry = Some(EntryPtr(path.entry_mut(index)));
                Located::Found(Found { trie: self, hash, index, entry })
            }
            None => Located::Missing(Missing { trie: self, hash }),
        }
    }

    /// As [`locate_mut`](Self::locate_mut), if a node on the path is shared.
    fn locate_shared(
        &mut self,
        hash: Hash,
        probe: impl Probe<ArcHeap<K, V, T, Infallible, S>>,
    ) -> Located<'_, ArcHeap<K, V, T, Infallible, S>> {
        let Ok(location) = self.locate(hash, probe);
        match location.index() {
            Some(index) => Located::Found(Found { trie: self, hash, index, entry: None }),
            None => Located::Missing(Missing { trie: self, hash }),
        }
    }
}

impl<H: Heap<LowWord = (), Error = Infallible>> Found<'_, H> {
    /// The entry. O(1), or O(log n) if a node on its path is shared.
    #[inline]
    pub(crate) fn entry(&self) -> &EntryOf<H> {
        if let Some(EntryPtr(entry)) = self.entry {
            // SAFETY: the entry is in a leaf of the map, which is borrowed mutably by `self`. Only the
            // methods of `self` edit the map, and `remove`, which moves entries, consumes `self`.
            return unsafe { entry.as_ref() };
        }
        // Not by its hash: an `Eq` that lies may have found an entry with another hash.
        match self.trie.root().and_then(|root| path_end(root, self.hash)) {
            Some(PathEnd::Leaf(leaf)) => &leaf.entries[self.index],
            _ => unreachable!("the map has been borrowed since the key was found"),
        }
    }
}

impl<'a, H: CloningHeap<LowWord = (), Error = Infallible>> Found<'a, H> {
    /// The value, mutably. O(1), or O(log n) if a node on its path is shared, and is copied first.
    #[inline]
    pub(crate) fn value_mut(&mut self) -> &mut H::Value {
        let mut entry = self.unshared();
        // SAFETY: no node on the path to the entry is shared. The map is borrowed by `self`, which is
        // borrowed mutably for as long as the result.
        unsafe { &mut entry.as_mut().value }
    }

    /// As [`value_mut`](Self::value_mut), for as long as the map is borrowed.
    #[inline]
    pub(crate) fn into_value_mut(mut self) -> &'a mut H::Value {
        let mut entry = self.unshared();
        // SAFETY: no node on the path to the entry is shared. `self` has borrowed the map mutably
        // during `'a`, and is consumed, so the result is the only access to the map.
        unsafe { &mut entry.as_mut().value }
    }

    /// The address of the entry, after shared nodes on its path have been copied.
    #[inline]
    pub(super) fn unshared(&mut self) -> NonNull<EntryOf<H>> {
        match self.entry {
            Some(EntryPtr(entry)) => entry,
            None => self.unshare(),
        }
    }

    #[cold]
    fn unshare(&mut self) -> NonNull<EntryOf<H>> {
        let mut retired = Retired::none();
        let root = self.trie.root_mut();
        let entry = root.and_then(|it| unshared_entry(it, 0, self.hash, self.index, &mut retired));
        let Some(entry) = entry else {
            unreachable!("the map has been borrowed since the key was found")
        };
        self.entry = Some(EntryPtr(entry));
        entry
    }

    /// Removes and returns the entry. O(log n).
    pub(crate) fn remove(self) -> EntryOf<H> {
        let Ok(removed) = remove_found(self.trie.root_slot_mut(), self.hash, self.index);
        if let Ok(removed) = removed {
            return removed;
        }
        let location = Location(Place::Found(self.index));
        let (Ok(removed), _retired) = self.trie.remove_at(self.hash, location);
        match removed {
            Some(removed) => removed,
            None => unreachable!("the map has been borrowed since the key was found"),
        }
    }
}

impl<'a, H: CloningHeap<LowWord = (), Error = Infallible>> Missing<'a, H> {
    /// Inserts the key with a value. O(log n); keys are not compared.
    #[inline]
    pub(crate) fn insert(self, key: H::Key, value: H::Value) -> Found<'a, H> {
        let Self { trie, hash } = self;
        let Ok(inserted) = insert_missing(trie.root_slot_mut(), hash, EntryOf::<H> { key, value });
        match inserted {
            Ok(Some((index, entry))) => Found { trie, hash, index, entry: Some(EntryPtr(entry)) },
            Ok(None) => Self::newest(trie, hash),
            Err(EntryOf::<H> { key, value }) => {
                let location = Location(vacant(trie, hash));
                let (Ok(_), _retired) = trie.insert_at(hash, location, key, value);
                Self::newest(trie, hash)
            }
        }
    }

    /// The entry that was inserted last of those with `hash`.
    #[inline(never)]
    fn newest(trie: &'a mut Trie<H>, hash: Hash) -> Found<'a, H> {
        // The heap has no rehash of keys, so it is the last of its run.
        let index = match trie.root().and_then(|root| path_end(root, hash)) {
            Some(PathEnd::Leaf(leaf)) => leaf.highs.partition_point(|&it| it <= hash.high) - 1,
            _ => unreachable!("the key has just been added to a leaf"),
        };
        Found { trie, hash, index, entry: None }
    }
}

/// The place of a key that is not in the map.
fn vacant<H: Heap<LowWord = ()>>(trie: &Trie<H>, hash: Hash) -> Place {
    match trie.root().and_then(|root| path_end(root, hash)) {
        Some(PathEnd::Leaf(leaf)) => {
            Place::Vacant(leaf.highs.partition_point(|&it| it < hash.high))
        }
        _ => Place::NoLeaf,
    }
}
