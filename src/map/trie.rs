//! The persistent map over any heap: a root, and the operations on it.

use super::build::{self, HashedEntry};
use super::combine::{Compare, equal::equal};
use super::digest;
use super::edit::{self, Edited, Location, Retired};
use super::heap::{CloningHeap, Heap};
use super::into_iter::IntoEntries;
use super::iter::{Cursor, Iter};
use super::levels::HashOf;
use super::node::reference::NodeRef;
use super::node::{Contents, EntryOf, Slot};
use super::search::{self, KeyProbe, Probe};
use alloc::vec::Vec;

/// A persistent hash map whose comparisons of keys may fail.
///
/// The caller passes the [hash](HashOf) of a key and a [`Probe`], which decides whether a stored key
/// matches. A clone is O(1) and shares all nodes. An edit is O(log n): it copies the shared nodes on
/// the path to the entry, and edits unshared nodes in place. A failed operation leaves the map
/// unchanged.
///
/// For keys that implement [`std::hash::Hash`] and [`Eq`] use
/// [`HashTrieMap`](super::HashTrieMap).
///
/// ```
/// use ctxvars::map::{ArcHeap, Hash, Trie};
///
/// let hash = |key: u32| Hash::mix(u64::from(key));
/// let mut squares: Trie<ArcHeap<u32, u32>> = Trie::new();
/// for n in 0..100 {
///     let Ok(_) = squares.insert(hash(n), n, n * n, |new, stored| Ok(new == stored));
/// }
/// let before = squares.clone(); // O(1)
/// let Ok(removed) = squares.remove(hash(7), |stored: &u32| Ok(*stored == 7));
/// assert_eq!(removed.map(|entry| entry.value), Some(49));
/// assert_eq!((before.len(), squares.len()), (100, 99));
/// ```
///
/// The examples in this module share a few hidden definitions: `type Numbers = ArcHeap<u32, u32>`;
/// `hash(key)` as above; `map(pairs)`, which calls [`build`](Self::build); `entries(&map)`, which
/// returns the sorted entries; and `ByEq`, the example of [`Compare`].
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
    ///
    /// ```
    /// use ctxvars::map::{ArcHeap, Trie};
    ///
    /// static EMPTY: Trie<ArcHeap<u32, u32>> = Trie::new();
    /// assert!(EMPTY.is_empty());
    /// ```
    pub const fn new() -> Self {
        Self { root: None }
    }

    /// The map with this root, which was the root of a map. O(1).
    #[inline]
    pub(crate) const fn from_root(root: Slot<H>) -> Self {
        Self { root }
    }

    /// The root, `None` if the map is empty.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let copy = squares.clone();
    /// assert_eq!(squares.root().map(|it| it.as_ptr()), copy.root().map(|it| it.as_ptr()));
    /// assert!(map([]).root().is_none());
    /// ```
    #[inline]
    pub const fn root(&self) -> Option<&NodeRef<H>> {
        self.root.as_ref()
    }

    /// Consumes the map and returns its root.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// assert!(map([(1, 1), (2, 4), (3, 9)]).into_root().is_some());
    /// assert!(map([]).into_root().is_none());
    /// ```
    #[inline]
    pub fn into_root(mut self) -> Slot<H> {
        self.root.take()
    }

    /// The tag of the root, mutably, if there is a root and it is unshared. O(1).
    ///
    /// The next edit resets it to the default tag.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut map: Trie<ArcHeap<u32, u32, &str>> = Trie::new();
    /// let Ok(_) = map.insert(hash(1), 1, 1, |new, stored| Ok(new == stored));
    /// if let Some(tag) = map.tag_mut() {
    ///     *tag = "reviewed";
    /// }
    /// let copy = map.clone();
    /// assert!(map.tag_mut().is_none()); // shared
    /// let Ok(_) = map.insert(hash(2), 2, 4, |new, stored| Ok(new == stored));
    /// let tag_of = |map: &Trie<_>| map.root().map(|root| *root.tag());
    /// assert_eq!((tag_of(&copy), tag_of(&map)), (Some("reviewed"), Some("")));
    /// ```
    #[inline]
    pub fn tag_mut(&mut self) -> Option<&mut H::Tag> {
        self.root.as_mut().and_then(NodeRef::tag_mut)
    }

    /// The number of entries. O(1).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// assert_eq!(map([(1, 1), (2, 4), (3, 9)]).len(), 3);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.root.as_ref().map_or(0, NodeRef::len)
    }

    /// Whether there are no entries. O(1).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// assert!(map([]).is_empty());
    /// assert!(!map([(1, 1)]).is_empty());
    /// ```
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The root, borrowed.
    #[inline]
    pub(crate) const fn root_slot(&self) -> &Slot<H> {
        &self.root
    }

    /// The slot of the root, mutably.
    #[inline]
    pub(crate) fn root_slot_mut(&mut self) -> &mut Slot<H> {
        &mut self.root
    }

    /// The root, mutably.
    #[inline]
    pub(crate) fn root_mut(&mut self) -> Option<&mut NodeRef<H>> {
        self.root.as_mut()
    }

    /// A map with these entries; of entries with the same key, the first key and the last value.
    /// Sorting takes O(n log n), the rest O(n).
    ///
    /// # Errors
    ///
    /// The first error of `same` or of the heap.
    ///
    /// ```
    /// # use ctxvars::map::{ArcHeap, Entry, Hash, Trie};
    /// # let hash = |key: u32| Hash::mix(u64::from(key));
    /// let pairs = [(1, 1), (2, 0), (2, 4)];
    /// let hashed = pairs.map(|(key, value)| (hash(key), Entry { key, value }));
    /// let Ok(map) = Trie::<ArcHeap<u32, u32>>::build(hashed.into(), |a, b| Ok(a == b));
    /// assert_eq!(map.len(), 2);
    /// let Ok(found) = map.get(hash(2), |stored: &u32| Ok(*stored == 2));
    /// assert_eq!(found.map(|entry| entry.value), Some(4));
    /// ```
    pub fn build(
        entries: Vec<HashedEntry<H>>,
        same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
    ) -> Result<Self, H::Error> {
        build::build(entries, same).map(Self::from_root)
    }

    /// The entry with `hash` whose key matches the probe. O(log n).
    ///
    /// # Errors
    ///
    /// The first error of the probe.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(found) = squares.get(hash(3), |stored: &u32| Ok(*stored == 3));
    /// assert_eq!(found.map(|entry| entry.value), Some(9));
    /// let Ok(missing) = squares.get(hash(4), |stored: &u32| Ok(*stored == 4));
    /// assert!(missing.is_none());
    /// ```
    #[inline]
    pub fn get(
        &self,
        hash: HashOf<H>,
        mut probe: impl Probe<H>,
    ) -> Result<Option<&EntryOf<H>>, H::Error> {
        match &self.root {
            Some(root) => search::find(root, hash, &mut probe),
            None => Ok(None),
        }
    }

    /// The position of the key that matches the probe, for an edit of this map. O(log n).
    ///
    /// # Errors
    ///
    /// The first error of the probe.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(place) = squares.locate(hash(3), |stored: &u32| Ok(*stored == 3));
    /// // The edit does not compare keys again.
    /// if place.is_found() {
    ///     let (removed, _retired) = squares.remove_at(hash(3), place);
    ///     assert_eq!(removed.map(|entry| entry.map(|it| it.value)), Ok(Some(9)));
    /// }
    /// assert_eq!(entries(&squares), [(1, 1), (2, 4)]);
    /// ```
    #[inline]
    pub fn locate(&self, hash: HashOf<H>, mut probe: impl Probe<H>) -> Result<Location, H::Error> {
        edit::locate(&self.root, hash, &mut probe)
    }

    /// The entry at `location`, if the key was found there. O(log n).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(place) = squares.locate(hash(2), |stored: &u32| Ok(*stored == 2));
    /// assert_eq!(squares.entry_at(hash(2), place).map(|entry| entry.value), Some(4));
    /// let Ok(vacant) = squares.locate(hash(4), |stored: &u32| Ok(*stored == 4));
    /// assert!(squares.entry_at(hash(4), vacant).is_none());
    /// ```
    #[inline]
    pub fn entry_at(&self, hash: HashOf<H>, location: Location) -> Option<&EntryOf<H>> {
        edit::entry_at(&self.root, hash, location)
    }

    /// Inserts `value` at the location of `key`. Returns the old value, and the node that the edit
    /// has removed from the map. O(log n): unshared nodes are edited in place, shared ones are
    /// copied. The stored key stays when its value is replaced, as in
    /// [`HashMap`](std::collections::HashMap).
    ///
    /// # Errors
    ///
    /// An allocation failed; the map is unchanged.
    ///
    /// # Panics
    ///
    /// May panic if the map has changed since `locate`.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut squares = map([(1, 1), (2, 0)]);
    /// for (key, old) in [(2, Some(0)), (3, None)] {
    ///     let Ok(place) = squares.locate(hash(key), |stored: &u32| Ok(*stored == key));
    ///     let (inserted, _retired) = squares.insert_at(hash(key), place, key, key * key);
    ///     assert_eq!(inserted, Ok(old));
    /// }
    /// assert_eq!(entries(&squares), [(1, 1), (2, 4), (3, 9)]);
    /// ```
    #[inline]
    pub fn insert_at(
        &mut self,
        hash: HashOf<H>,
        location: Location,
        key: H::Key,
        value: H::Value,
    ) -> Edited<H, Option<H::Value>>
    where
        H: CloningHeap,
    {
        let mut retired = Retired::none();
        let entry = EntryOf::<H> { key, value };
        let old = edit::insert_at(&mut self.root, hash, location, entry, &mut retired);
        (old, retired)
    }

    /// Removes the entry at `location`, if the key was found there. Returns the entry, and the node
    /// that the edit has removed from the map. O(log n).
    ///
    /// # Errors
    ///
    /// An allocation failed; the map is unchanged.
    ///
    /// # Panics
    ///
    /// May panic if the map has changed since `locate`.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(place) = squares.locate(hash(1), |stored: &u32| Ok(*stored == 1));
    /// let (removed, _retired) = squares.remove_at(hash(1), place);
    /// assert_eq!(removed.map(|entry| entry.map(|it| it.value)), Ok(Some(1)));
    /// assert_eq!(entries(&squares), [(2, 4), (3, 9)]);
    /// ```
    pub fn remove_at(
        &mut self,
        hash: HashOf<H>,
        location: Location,
    ) -> Edited<H, Option<EntryOf<H>>>
    where
        H: CloningHeap,
    {
        let mut retired = Retired::none();
        let removed = edit::remove_at(&mut self.root, hash, location, &mut retired);
        (removed, retired)
    }

    /// Inserts `value` at `key`, or replaces the value of the stored key that is the `same`.
    ///
    /// `same` gets `key` and a stored key. The map does not change if the old value is
    /// [identical](Heap::is_identical). O(log n), as [`insert_at`](Self::insert_at).
    ///
    /// # Errors
    ///
    /// The first error of `same` or of the heap; the map is unchanged.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// use ctxvars::map::Insertion;
    ///
    /// let mut squares = map([(1, 1), (2, 0)]);
    /// let Ok(replaced) = squares.insert(hash(2), 2, 4, |new, stored| Ok(new == stored));
    /// assert!(matches!(replaced, Insertion::Replaced(0)));
    /// let Ok(added) = squares.insert(hash(3), 3, 9, |new, stored| Ok(new == stored));
    /// assert!(matches!(added, Insertion::Added));
    /// ```
    #[inline]
    pub fn insert(
        &mut self,
        hash: HashOf<H>,
        key: H::Key,
        value: H::Value,
        mut same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
    ) -> Result<Insertion<H>, H::Error>
    where
        H: CloningHeap,
    {
        let entry = EntryOf::<H> { key, value };
        match edit::insert_in_one_walk(&mut self.root, hash, entry, &mut same)? {
            Ok(done) => Ok(done),
            Err(entry) => self.insert_in_two_phases(hash, entry, same),
        }
    }

    /// As [`insert`](Self::insert), if nodes may be shared.
    fn insert_in_two_phases(
        &mut self,
        hash: HashOf<H>,
        entry: EntryOf<H>,
        same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
    ) -> Result<Insertion<H>, H::Error>
    where
        H: CloningHeap,
    {
        let EntryOf::<H> { key, value } = entry;
        let location = self.locate(hash, KeyProbe { key: &key, same })?;
        if let (Some(root), Some(index)) = (&mut self.root, location.index()) {
            // Most maps are small: a leaf, which need not be searched for again.
            if let Contents::Leaf(leaf) = root.contents_of_root() {
                if H::is_identical(&leaf.entries()[index].value, &value) {
                    return Ok(Insertion::Unchanged(value));
                }
                let mut retired = Retired::none();
                return Ok(Insertion::Replaced(root.replace_value(index, value, &mut retired)?));
            }
        }
        let is_there = |entry: &EntryOf<H>| H::is_identical(&entry.value, &value);
        if self.entry_at(hash, location).is_some_and(is_there) {
            return Ok(Insertion::Unchanged(value));
        }
        let (old, _retired) = self.insert_at(hash, location, key, value);
        Ok(match old? {
            Some(old) => Insertion::Replaced(old),
            None => Insertion::Added,
        })
    }

    /// Removes and returns the entry with `hash` whose key matches the probe. O(log n).
    ///
    /// # Errors
    ///
    /// The first error of the probe or of the heap; the map is unchanged.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(removed) = squares.remove(hash(2), |stored: &u32| Ok(*stored == 2));
    /// assert_eq!(removed.map(|entry| (entry.key, entry.value)), Some((2, 4)));
    /// let Ok(again) = squares.remove(hash(2), |stored: &u32| Ok(*stored == 2));
    /// assert!(again.is_none());
    /// ```
    pub fn remove(
        &mut self,
        hash: HashOf<H>,
        mut probe: impl Probe<H>,
    ) -> Result<Option<EntryOf<H>>, H::Error>
    where
        H: CloningHeap,
    {
        if let Ok(removed) = edit::remove_in_one_walk(&mut self.root, hash, &mut probe)? {
            return Ok(removed);
        }
        let location = self.locate(hash, probe)?;
        let (removed, _retired) = self.remove_at(hash, location);
        removed
    }

    /// Iterates over all entries, in the order of their hashes. O(n).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// assert!(squares.iter().all(|(hashed, entry)| hashed == hash(entry.key)));
    /// assert_eq!(squares.iter().map(|(_, entry)| entry.value).sum::<u32>(), 14);
    /// ```
    pub fn iter(&self) -> Iter<'_, H> {
        Iter::below(self.root.as_ref(), 0)
    }

    /// A cursor over all entries, which keeps the map alive by itself.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let mut cursor = squares.cursor();
    /// let mut sum = 0;
    /// while let Some(entry) = cursor.advance() {
    ///     sum += entry.value;
    ///     // The cursor borrows nothing from the map, and does not see its edits.
    ///     squares = Trie::new();
    /// }
    /// assert_eq!(sum, 14);
    /// ```
    pub fn cursor(&self) -> Cursor<H> {
        Cursor::over(self.root.clone())
    }

    /// Consumes the map and returns a [`cursor`](Self::cursor) over it.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let mut cursor = map([(2, 4)]).into_cursor();
    /// assert_eq!(cursor.advance().map(|entry| (entry.key, entry.value)), Some((2, 4)));
    /// assert!(cursor.advance().is_none());
    /// ```
    pub fn into_cursor(self) -> Cursor<H> {
        Cursor::over(self.into_root())
    }

    /// Consumes the map and iterates over its entries: those in unshared nodes are moved, others are
    /// cloned.
    pub(crate) fn into_entries(self) -> IntoEntries<H> {
        IntoEntries::of(self.into_root())
    }

    /// Whether the root is traced, because the map holds something traceable: see [`Heap::trace`].
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// assert!(!map([(1, 1)]).is_traced()); // an `ArcHeap` traces nothing
    /// ```
    pub fn is_traced(&self) -> bool {
        self.root.as_ref().is_some_and(NodeRef::is_traced)
    }

    /// Whether both maps have the same root, and so the same entries. O(1).
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// assert!(squares.ptr_eq(&squares.clone()));
    /// assert!(!squares.ptr_eq(&map([(1, 1), (2, 4), (3, 9)])));
    /// ```
    #[inline]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.root.as_ref().map(NodeRef::as_ptr) == other.root.as_ref().map(NodeRef::as_ptr)
    }

    /// Whether both maps have equal entries. O(changes x log n) for maps that share nodes, else O(n).
    ///
    /// # Errors
    ///
    /// The first error of a comparison.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// assert_eq!(squares.equal(&map([(3, 9), (2, 4), (1, 1)]), &mut ByEq), Ok(true));
    /// assert_eq!(squares.equal(&map([(1, 1), (2, 4), (3, 0)]), &mut ByEq), Ok(false));
    /// ```
    pub fn equal(&self, other: &Self, compare: &mut impl Compare<H>) -> Result<bool, H::Error> {
        equal(&self.root, &other.root, compare)
    }

    /// The exclusive or of `of_entry` over all entries. O(changes x log n) if the heap caches digests
    /// in branches and the map shares nodes with a map whose digest has been computed, else O(n).
    ///
    /// # Errors
    ///
    /// The first error of `of_entry`.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// use std::hash::{BuildHasher, RandomState};
    ///
    /// let hasher = RandomState::new();
    /// let digest = |map: &Trie<Numbers>| map.digest(|it| Ok(hasher.hash_one((it.key, it.value))));
    /// // The order of the entries does not matter.
    /// assert_eq!(digest(&map([(1, 1), (2, 4)])), digest(&map([(2, 4), (1, 1)])));
    /// assert_eq!(digest(&map([])), Ok(0));
    /// ```
    pub fn digest(
        &self,
        mut of_entry: impl FnMut(&EntryOf<H>) -> Result<u64, H::Error>,
    ) -> Result<u64, H::Error> {
        self.root.as_ref().map_or(Ok(0), |root| digest::digest(root, &mut of_entry))
    }
}

/// The result of an insertion, with the old value of the key.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::map::Insertion;
///
/// let mut squares = map([(2, 0)]);
/// let Ok(done) = squares.insert(hash(2), 2, 4, |new, stored| Ok(new == stored));
/// let old = match done {
///     Insertion::Added => None,
///     // `Unchanged` occurs only for heaps that implement `Heap::is_identical`.
///     Insertion::Replaced(old) | Insertion::Unchanged(old) => Some(old),
/// };
/// assert_eq!(old, Some(0));
/// ```
pub enum Insertion<H: Heap> {
    /// The key was not in the map.
    Added,
    /// The key had this value.
    Replaced(H::Value),
    /// The key had this value already: the value that was not inserted.
    Unchanged(H::Value),
}

impl<'a, H: Heap> IntoIterator for &'a Trie<H> {
    type Item = (HashOf<H>, &'a EntryOf<H>);
    type IntoIter = Iter<'a, H>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
