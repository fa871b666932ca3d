//! [`HashTrieMap`], a persistent hash map, with its iterators and its entry interface.

// | file | concept |
// | --- | --- |
// | `hasher.rs`, `hasher_id.rs` | how keys are hashed; the identity of a hasher |
// | `entry.rs` | the entry interface |
// | `iter.rs` | the iterators |
// | `removal.rs` | removing many entries |
// | `set_ops.rs`, `diff_merge.rs` | operations on whole maps |
// | `traits.rs` | conversion from other collections; `==`, hash and `Debug` |
// | `serde.rs`, `rayon.rs` | the optional features |

mod diff_merge;
mod entry;
mod hasher;
mod hasher_id;
mod iter;
#[cfg(feature = "rayon")]
mod rayon;
mod removal;
#[cfg(feature = "serde")]
mod serde;
mod set_ops;
mod traits;

pub use super::combine::Change;
pub use diff_merge::Conflict;
pub use entry::{Entry, OccupiedEntry, VacantEntry};
pub use hasher::DefaultHashBuilder;
pub use iter::{IntoIter, IntoKeys, IntoValues, Iter, IterMut, Keys, Values, ValuesMut};
#[cfg(feature = "rayon")]
pub use rayon::ParIter;
pub use removal::{Drain, ExtractIf};

use super::edit::Located;
use super::hash::Hash;
use super::heap::arc::ArcHeap;
use super::trie::{Insertion, Trie};
use core::borrow::Borrow;
use core::hash::BuildHasher;
use hasher_id::HasherId;
pub(super) use set_ops::KeysAndValues;

/// A persistent hash map: a clone costs O(1) and shares all nodes with the original.
///
/// An edit copies the nodes on the path to the entry if another map shares them, and edits them in
/// place otherwise. A clone is never affected by later edits.
///
/// ```
/// use ctxvars::HashTrieMap;
///
/// let mut squares: HashTrieMap<u32, u32> = (1..=3).map(|n| (n, n * n)).collect();
/// let before = squares.clone();
/// squares.insert(4, 16);
/// assert_eq!(squares.get(&4), Some(&16));
/// assert_eq!(before.get(&4), None);
/// ```
///
/// # Costs
///
/// n is the number of entries. k is the number of changes between two maps, if one was derived from
/// the other or both from a third map. The logarithm has the base 16.
///
/// | operation | in place (`&mut self`) | derived (`&self`) | cost |
/// | --- | --- | --- | --- |
/// | lookup | | [`get`](Self::get), [`get_key_value`](Self::get_key_value), [`contains_key`](Self::contains_key), `map[key]` | O(log n) |
/// | set | [`insert`](Self::insert), [`get_mut`](Self::get_mut) | [`update`](Self::update) | O(log n) |
/// | remove | [`remove`](Self::remove), [`remove_entry`](Self::remove_entry) | [`without`](Self::without) | O(log n) |
/// | several keys | [`get_disjoint_mut`](Self::get_disjoint_mut) | | O(log n) for each |
/// | either | [`entry`](Self::entry) | [`alter`](Self::alter) | O(log n) |
/// | clone | | [`clone`](Clone::clone) | O(1) |
/// | iterate | [`iter_mut`](Self::iter_mut), [`values_mut`](Self::values_mut) | [`iter`](Self::iter), [`keys`](Self::keys), [`values`](Self::values) | O(n) |
/// | many entries | [`extend`](Extend::extend) | [`collect`](FromIterator) | O(n) |
/// | filter | [`retain`](Self::retain), [`extract_if`](Self::extract_if), [`drain`](Self::drain), [`clear`](Self::clear) | [`filter`](Self::filter) | O(n), [`clear`](Self::clear) also |
/// | every value | [`values_mut`](Self::values_mut) | [`map_values`](Self::map_values) | O(n) |
/// | set operations | | [`union`](Self::union), [`intersection`](Self::intersection), [`difference`](Self::difference), [`symmetric_difference`](Self::symmetric_difference) | O(k log n), or O(n) |
/// | set operations with a function | | [`union_with`](Self::union_with), [`intersection_with`](Self::intersection_with) | O(n) |
/// | compare | | `==`, [`diff`](Self::diff), three-way [`merge`](Self::merge) | O(k log n), or O(n) |
/// | compare roots | | [`ptr_eq`](Self::ptr_eq) | O(1) |
///
/// # Keys and values
///
/// Copying a path clones the entries of one leaf, at most 16. So cloning keys and values should be
/// cheap: wrap large ones in an [`Arc`](std::sync::Arc). When the value of a key is replaced, the
/// stored key stays, as in [`HashMap`](std::collections::HashMap).
///
/// Only methods that may copy entries require `Clone`. Maps of other keys and values can be collected,
/// read, compared, cloned and dropped.
///
/// If `Eq`, `Hash` or `Clone` of a key panics, the map is unchanged; but [`extend`](Extend::extend) may
/// have inserted some of the entries. A lookup compares all keys that have the same hash.
///
/// # Threads
///
/// A map is `Send` and `Sync` if its keys and values are both. Threads share nodes, which have atomic
/// reference counts.
///
/// # Nested maps
///
/// Maps that are nested in maps are dropped recursively, like a chain of boxes. Nesting many
/// thousands of levels deep overflows the stack, unless the feature `deep-drop` is enabled.
///
/// # Order
///
/// Maps iterate in the order of the hashes of their keys, which should be treated as unspecified. Two
/// maps with the same hasher and equal keys iterate in the same order, except for keys with equal
/// hashes.
pub struct HashTrieMap<K, V, S = DefaultHashBuilder> {
    pub(super) trie: Trie<ArcHeap<K, V>>,
    hasher: S,
    hasher_id: HasherId,
}

/// Maps can be sent to other threads, and shared with them.
const _: () = {
    const fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<HashTrieMap<u64, u64>>();
    assert_send_and_sync::<Iter<'_, u64, u64>>();
    assert_send_and_sync::<IterMut<'_, u64, u64>>();
    assert_send_and_sync::<IntoIter<u64, u64>>();
};

impl<K, V, S: Clone> Clone for HashTrieMap<K, V, S> {
    /// A map that shares all nodes with this map. O(1), without an allocation.
    #[inline]
    fn clone(&self) -> Self {
        self.derived(self.trie.clone())
    }
}

impl<K, V, S: Default> Default for HashTrieMap<K, V, S> {
    /// An empty map. O(1), without an allocation.
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, V> HashTrieMap<K, V> {
    /// An empty map with the [`DefaultHashBuilder`]. O(1), without an allocation.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// static EMPTY: HashTrieMap<u32, u32> = HashTrieMap::new();
    /// assert!(EMPTY.is_empty());
    /// ```
    pub const fn new() -> Self {
        Self::with_hasher(DefaultHashBuilder)
    }

    /// An empty map, as [`new`](Self::new), for code that was written for the standard library's map.
    ///
    /// The capacity has no effect, as in [`reserve`](Self::reserve). To build a large map fast,
    /// [`collect`](Iterator::collect) its entries.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map: HashTrieMap<u32, u32> = HashTrieMap::with_capacity(100);
    /// assert!(map.is_empty());
    /// ```
    pub const fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, DefaultHashBuilder)
    }
}

impl<K, V, S> HashTrieMap<K, V, S> {
    /// An empty map that hashes with `hasher`. O(1), without an allocation.
    ///
    /// A clone of the hasher must compute the same hashes. Two maps are known to have the same hasher
    /// if hashers of this type have no state, as the default one, or if one map was derived from the
    /// other. Otherwise operations on both maps hash the keys of one map again.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use std::hash::RandomState;
    ///
    /// let mut map = HashTrieMap::with_hasher(RandomState::new());
    /// map.insert("key", 1);
    /// ```
    pub const fn with_hasher(hasher: S) -> Self {
        Self { trie: Trie::new(), hasher, hasher_id: HasherId::UNASSIGNED }
    }

    /// An empty map, as [`with_hasher`](Self::with_hasher). The capacity has no effect, as in
    /// [`reserve`](Self::reserve).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use std::hash::RandomState;
    ///
    /// let mut map = HashTrieMap::with_capacity_and_hasher(100, RandomState::new());
    /// map.insert("key", 1);
    /// ```
    pub const fn with_capacity_and_hasher(capacity: usize, hasher: S) -> Self {
        let _ = capacity;
        Self::with_hasher(hasher)
    }

    /// Does nothing: a trie allocates a node when an entry needs it, and never moves all entries to a
    /// larger table. The method exists for code that was written for the standard library's map. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1)]);
    /// map.reserve(100);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub const fn reserve(&mut self, additional: usize) {
        let _ = additional;
    }

    /// Does nothing: removing entries frees their nodes. The method exists for code that was written
    /// for the standard library's map. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1)]);
    /// map.shrink_to_fit();
    /// assert_eq!(map.len(), 1);
    /// ```
    pub const fn shrink_to_fit(&mut self) {}

    /// The hasher of the map. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use std::hash::BuildHasher;
    ///
    /// let map: HashTrieMap<&str, i32> = HashTrieMap::new();
    /// let hash = map.hasher().hash_one("key");
    /// ```
    pub const fn hasher(&self) -> &S {
        &self.hasher
    }

    /// A map with another trie and the hasher of this map.
    #[inline]
    fn derived<W>(&self, trie: Trie<ArcHeap<K, W>>) -> HashTrieMap<K, W, S>
    where
        S: Clone,
    {
        HashTrieMap { trie, hasher: self.hasher.clone(), hasher_id: self.hasher_id }
    }

    /// The number of entries. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(map.len(), 2);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether there are no entries. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// assert!(HashTrieMap::<u32, u32>::new().is_empty());
    /// ```
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.trie.is_empty()
    }

    /// Removes all entries. O(n), or less if other maps share nodes.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1)]);
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.trie = Trie::new();
    }

    /// Whether both maps have the same root node, and so the same entries. O(1).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1)]);
    /// assert!(map.ptr_eq(&map.clone()));
    /// assert!(!map.ptr_eq(&map.update("a", 1)));
    /// ```
    #[inline]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.trie.ptr_eq(&other.trie)
    }

    /// Panics unless the map keeps the invariants in the documentation of [`map`](crate::map). O(n).
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.trie.check_invariants();
    }
}

impl<K, V, S> HashTrieMap<K, V, S>
where
    K: Eq + core::hash::Hash,
    S: BuildHasher,
{
    #[inline]
    fn hash<Q: core::hash::Hash + ?Sized>(&self, key: &Q) -> Hash {
        Hash::mix(self.hasher.hash_one(key))
    }

    /// The value of `key`, or `None`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map: HashTrieMap<String, i32> = HashTrieMap::from([("a".to_owned(), 1)]);
    /// assert_eq!(map.get("a"), Some(&1));
    /// assert_eq!(map.get("b"), None);
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + core::hash::Hash + ?Sized,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The stored key and its value, or `None`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map: HashTrieMap<String, i32> = HashTrieMap::from([("a".to_owned(), 1)]);
    /// assert_eq!(map.get_key_value("a"), Some((&"a".to_owned(), &1)));
    /// ```
    #[inline]
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + core::hash::Hash + ?Sized,
    {
        let Ok(found) = self.trie.get(self.hash(key), |stored: &K| Ok(stored.borrow() == key));
        found.map(|entry| (&entry.key, &entry.value))
    }

    /// Whether the map has `key`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1)]);
    /// assert!(map.contains_key("a"));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + core::hash::Hash + ?Sized,
    {
        self.get_key_value(key).is_some()
    }
}

impl<K, V, S> HashTrieMap<K, V, S>
where
    K: Clone + Eq + core::hash::Hash,
    V: Clone,
    S: BuildHasher,
{
    /// The value of `key`, mutably, or `None`. O(log n): shared nodes on the path are copied.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1)]);
    /// if let Some(value) = map.get_mut("a") {
    ///     *value += 1;
    /// }
    /// assert_eq!(map["a"], 2);
    /// ```
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + core::hash::Hash + ?Sized,
    {
        let hash = self.hash(key);
        match self.trie.locate_mut(hash, |stored: &K| Ok(stored.borrow() == key)) {
            Located::Found(found) => Some(found.into_value_mut()),
            Located::Missing(_) => None,
        }
    }

    /// The values of several keys, mutably, `None` for missing keys. O(N · (N + log n)) for N keys:
    /// shared nodes on the paths are copied.
    ///
    /// # Panics
    ///
    /// Two of the keys are equal, and are in the map. Or [`Eq`] is inconsistent, and two keys have the
    /// same entry.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut balances = HashTrieMap::from([("ann", 100), ("bob", 20)]);
    /// if let [Some(from), Some(to)] = balances.get_disjoint_mut(["ann", "bob"]) {
    ///     *from -= 30;
    ///     *to += 30;
    /// }
    /// assert_eq!((balances["ann"], balances["bob"]), (70, 50));
    /// ```
    pub fn get_disjoint_mut<Q, const N: usize>(&mut self, keys: [&Q; N]) -> [Option<&mut V>; N]
    where
        K: Borrow<Q>,
        Q: Eq + core::hash::Hash + ?Sized,
    {
        let keys = keys.map(|key| (self.hash(key), move |stored: &K| Ok(stored.borrow() == key)));
        self.trie.get_disjoint_mut(keys)
    }

    /// Sets the value of `key` and returns the old value, or `None`. O(log n).
    ///
    /// If the map has the key already, the stored key stays, and `key` is dropped.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::new();
    /// assert_eq!(map.insert("a", 1), None);
    /// assert_eq!(map.insert("a", 2), Some(1));
    /// ```
    #[inline]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.hasher_id.ensure_assigned::<S>();
        let hash = self.hash(&key);
        let Ok(done) = self.trie.insert(hash, key, value, |new, stored| Ok(new == stored));
        match done {
            Insertion::Added => None,
            Insertion::Replaced(old) | Insertion::Unchanged(old) => Some(old),
        }
    }

    /// A copy of this map in which `key` has `value`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let before = HashTrieMap::from([("a", 1)]);
    /// let after = before.update("b", 2);
    /// assert_eq!((before.len(), after.len()), (1, 2));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn update(&self, key: K, value: V) -> Self
    where
        S: Clone,
    {
        let mut updated = self.clone();
        updated.insert(key, value);
        updated
    }

    /// Removes `key` and returns its value, or `None`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1)]);
    /// assert_eq!(map.remove("a"), Some(1));
    /// assert_eq!(map.remove("a"), None);
    /// ```
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + core::hash::Hash + ?Sized,
    {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Removes `key` and returns the stored key and its value, or `None`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1)]);
    /// assert_eq!(map.remove_entry("a"), Some(("a", 1)));
    /// ```
    pub fn remove_entry<Q>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
        Q: Eq + core::hash::Hash + ?Sized,
    {
        let hash = self.hash(key);
        let Ok(removed) = self.trie.remove(hash, |stored: &K| Ok(stored.borrow() == key));
        removed.map(|entry| (entry.key, entry.value))
    }

    /// A copy of this map without `key`. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let before = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(before.without("b"), HashTrieMap::from([("a", 1)]));
    /// assert!(before.without("c").ptr_eq(&before));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn without<Q>(&self, key: &Q) -> Self
    where
        K: Borrow<Q>,
        Q: Eq + core::hash::Hash + ?Sized,
        S: Clone,
    {
        let mut rest = self.clone();
        rest.remove_entry(key);
        rest
    }

    /// Locates `key`, to read, change, insert or remove its entry. O(log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<&str, Vec<u32>> = HashTrieMap::new();
    /// map.entry("primes").or_default().push(2);
    /// map.entry("primes").or_default().push(3);
    /// assert_eq!(map["primes"], [2, 3]);
    /// ```
    #[inline]
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V, S> {
        self.hasher_id.ensure_assigned::<S>();
        let hash = self.hash(&key);
        let located = self.trie.locate_mut(hash, |stored: &K| Ok(*stored == key));
        Entry::of(located, key)
    }

    /// A copy of this map in which `function` has changed the value of `key`. O(log n).
    ///
    /// `function` gets the value, or `None`. It returns the new value, or `None` to remove the key.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1)]);
    /// let add_one = |value: Option<&i32>| Some(value.unwrap_or(&0) + 1);
    /// assert_eq!(map.alter("a", add_one)["a"], 2);
    /// assert_eq!(map.alter("b", add_one)["b"], 1);
    /// assert!(map.alter("a", |_| None).is_empty());
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn alter(&self, key: K, function: impl FnOnce(Option<&V>) -> Option<V>) -> Self
    where
        S: Clone,
    {
        let mut altered = self.clone();
        match altered.entry(key) {
            Entry::Occupied(mut entry) => match function(Some(entry.get())) {
                Some(value) => drop(entry.insert(value)),
                None => drop(entry.remove()),
            },
            Entry::Vacant(entry) => {
                if let Some(value) = function(None) {
                    entry.insert(value);
                }
            }
        }
        altered
    }
}
