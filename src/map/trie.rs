//! The persistent map itself, over any heap: a root and the operations on it.

use super::edit::{self, Insertion};
use super::equal;
use super::hash::Hash;
use super::heap::Heap;
use super::iter::{Cursor, Iter};
use super::node::{EntryOf, NodeRef, Slot};
use super::search;

/// A persistent hash map whose key operations may fail.
///
/// The caller brings the [`struct@Hash`] of the key and a closure that tells whether a stored key is the
/// one that is meant. A clone is O(1) and shares all nodes; an edit of a map that shares nodes
/// copies the path to the entry, O(log n), and edits in place what nobody else can reach. An
/// operation that fails leaves the map as it was.
///
/// For keys that implement [`std::hash::Hash`] and [`Eq`] use
/// [`HashTrieMap`](super::HashTrieMap).
#[repr(transparent)]
pub struct Trie<H: Heap> {
    root: Slot<H>,
}

impl<H: Heap> Clone for Trie<H> {
    #[inline]
    fn clone(&self) -> Self {
        Self { root: self.root.clone() }
    }
}

impl<H: Heap> Default for Trie<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Heap> Trie<H> {
    /// A map without entries. O(1), allocates nothing.
    pub const fn new() -> Self {
        Self { root: None }
    }

    /// The map with this root. O(1).
    #[inline]
    pub const fn from_root(root: Slot<H>) -> Self {
        Self { root }
    }

    /// The root, `None` if the map is empty.
    #[inline]
    pub const fn root(&self) -> Option<&NodeRef<H>> {
        self.root.as_ref()
    }

    /// The root, given away.
    #[inline]
    pub fn into_root(mut self) -> Slot<H> {
        self.root.take()
    }

    /// The tag of the root, the default if the map is empty. O(1).
    #[inline]
    pub fn tag(&self) -> H::Tag {
        self.root.as_ref().map_or_else(H::Tag::default, NodeRef::tag)
    }

    /// Changes the tag of the root, if there is one and no other map shares it; tells whether so.
    #[inline]
    pub fn set_tag(&mut self, tag: H::Tag) -> bool {
        self.root.as_mut().is_some_and(|root| root.set_tag(tag))
    }

    /// Number of entries. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.root.as_ref().map_or(0, NodeRef::len)
    }

    /// Whether there are no entries. O(1).
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The entry with `hash` whose key `matches` accepts. O(log n).
    ///
    /// # Errors
    ///
    /// The first one that `matches` returns.
    #[inline]
    pub fn get(
        &self,
        hash: Hash,
        matches: impl FnMut(&H::Key) -> Result<bool, H::Error>,
    ) -> Result<Option<&EntryOf<H>>, H::Error> {
        match &self.root {
            Some(root) => search::find(root, hash, matches),
            None => Ok(None),
        }
    }

    /// Puts `value` at the stored key with `hash` that is the `same` as `key`, or else at `key`.
    ///
    /// `same` gets `key` and a stored key. O(log n): in place where this map alone reaches a node, else by copying it. A replaced
    /// value keeps its old key, as in [`HashMap`](std::collections::HashMap).
    ///
    /// # Errors
    ///
    /// The first one that `same` or the heap returns; the map is as before then.
    #[inline]
    pub fn insert(
        &mut self,
        hash: Hash,
        key: H::Key,
        value: H::Value,
        same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
    ) -> Result<Insertion<H>, H::Error> {
        edit::insert(&mut self.root, hash, EntryOf::<H> { key, value }, same)
    }

    /// Removes and returns the entry with `hash` whose key `matches` accepts. O(log n).
    ///
    /// # Errors
    ///
    /// The first one that `matches` or the heap returns; the map is as before then.
    pub fn remove(
        &mut self,
        hash: Hash,
        matches: impl FnMut(&H::Key) -> Result<bool, H::Error>,
    ) -> Result<Option<EntryOf<H>>, H::Error> {
        edit::remove(&mut self.root, hash, matches)
    }

    /// All entries, in the order of their hashes.
    pub fn iter(&self) -> Iter<'_, H> {
        Iter::below(self.root.as_ref())
    }

    /// All entries, in a cursor that keeps them alive itself.
    pub fn cursor(&self) -> Cursor<H> {
        Cursor::over(self.root.clone())
    }

    /// Whether both maps have one root, and so the same entries. O(1).
    #[inline]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.root.as_ref().map(NodeRef::as_ptr) == other.root.as_ref().map(NodeRef::as_ptr)
    }

    /// Whether both maps have equal entries: O(changes x log n) for maps that share nodes.
    ///
    /// `equal_entries` gets two entries with one hash and answers `None` if their keys differ,
    /// else whether their values are equal.
    ///
    /// # Errors
    ///
    /// The first one that `equal_entries` returns.
    pub fn equal(
        &self,
        other: &Self,
        mut equal_entries: impl FnMut(&EntryOf<H>, &EntryOf<H>) -> Result<Option<bool>, H::Error>,
    ) -> Result<bool, H::Error> {
        equal::equal(&self.root, &other.root, &mut equal_entries)
    }
}

impl<'a, H: Heap> IntoIterator for &'a Trie<H> {
    type Item = (Hash, &'a EntryOf<H>);
    type IntoIter = Iter<'a, H>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
