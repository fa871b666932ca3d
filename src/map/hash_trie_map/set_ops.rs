//! Operations on whole maps: set operations, `filter` and `map_values`. Results share nodes.

use super::HashTrieMap;
use crate::map::build::{HashedEntry, build_sorted};
use crate::map::combine::Compare;
use crate::map::heap::arc::ArcHeap;
use crate::map::node::EntryOf;
use crate::map::trie::Trie;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::hash::{BuildHasher, Hash};

type TrieOf<K, V> = Trie<ArcHeap<K, V>>;

/// Compares keys by `==`, for operations that do not compare values.
pub(super) struct Keys;

/// Compares keys and values by `==`.
pub(in crate::map) struct KeysAndValues;

impl<K: Eq, V> Compare<ArcHeap<K, V>> for Keys {
    fn same(&mut self, a: &K, b: &K) -> Result<bool, Infallible> {
        Ok(a == b)
    }

    /// Never called: these operations do not compare values.
    fn equal(&mut self, _: &V, _: &V) -> Result<bool, Infallible> {
        Ok(false)
    }
}

impl<K: Eq, V: PartialEq> Compare<ArcHeap<K, V>> for KeysAndValues {
    fn same(&mut self, a: &K, b: &K) -> Result<bool, Infallible> {
        Ok(a == b)
    }

    fn equal(&mut self, a: &V, b: &V) -> Result<bool, Infallible> {
        Ok(a == b)
    }
}

impl<K, V, S> HashTrieMap<K, V, S> {
    /// Whether the maps are known to have the same hasher, so that keys have equal hashes in both.
    pub(in crate::map) fn has_same_hasher<W>(&self, other: &HashTrieMap<K, W, S>) -> bool {
        self.hasher_id.is_same_hasher::<S>(other.hasher_id)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> HashTrieMap<K, V, S> {
    /// An entry, with its hash.
    pub(in crate::map) fn hash_entry(hasher: &S, key: K, value: V) -> HashedEntry<ArcHeap<K, V>> {
        let hash = crate::map::Hash::mix(hasher.hash_one(&key));
        (hash, EntryOf::<ArcHeap<K, V>> { key, value })
    }

    /// A map of entries that `hasher` has hashed.
    pub(in crate::map) fn of_hashed(hasher: S, entries: Vec<HashedEntry<ArcHeap<K, V>>>) -> Self {
        let mut map = Self::with_hasher(hasher);
        map.hasher_id.ensure_assigned::<S>();
        let Ok(trie) = Trie::build(entries, |a, b| Ok(a == b));
        Self { trie, ..map }
    }

    /// Whether the other map has all entries of this map: the same keys with equal values.
    /// O(n log m) for n entries of this map and m entries of the other.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("x", 1)]);
    /// assert!(map.is_submap(&map.update("y", 2)));
    /// assert!(!map.is_submap(&map.update("x", 2)));
    /// ```
    pub fn is_submap(&self, other: &Self) -> bool
    where
        V: PartialEq,
    {
        let is_there = |(key, value): (&K, &V)| other.get(key) == Some(value);
        self.ptr_eq(other) || (self.len() <= other.len() && self.iter().all(is_there))
    }
}

impl<K, V, S> HashTrieMap<K, V, S>
where
    K: Clone + Eq + Hash,
    V: Clone,
    S: BuildHasher,
{
    /// Inserts entries that have been hashed by the hasher of this map. They are moved, not cloned.
    pub(super) fn extend_hashed(&mut self, entries: Vec<HashedEntry<ArcHeap<K, V>>>) {
        self.hasher_id.ensure_assigned::<S>();
        if self.is_empty() {
            let Ok(trie) = Trie::build(entries, |a, b| Ok(a == b));
            self.trie = trie;
            return;
        }
        entries.into_iter().for_each(|entry| self.insert_hashed(entry));
    }

    /// Inserts an entry that has been hashed by the hasher of this map.
    #[inline]
    pub(super) fn insert_hashed(&mut self, (hash, entry): HashedEntry<ArcHeap<K, V>>) {
        let EntryOf::<ArcHeap<K, V>> { key, value } = entry;
        let Ok(_) = self.trie.insert(hash, key, value, |new, stored| Ok(new == stored));
    }

    /// The trie of the other map, with keys hashed by the hasher of this map. O(1) if the hashers are
    /// the same, else O(n).
    pub(super) fn aligned<'a>(&self, other: &'a Self) -> Cow<'a, TrieOf<K, V>> {
        if self.has_same_hasher(other) || other.is_empty() {
            return Cow::Borrowed(&other.trie);
        }
        let hashed =
            |(key, value): (&K, &V)| Self::hash_entry(&self.hasher, key.clone(), value.clone());
        let Ok(rehashed) = Trie::build(other.iter().map(hashed).collect(), |_, _| Ok(false));
        Cow::Owned(rehashed)
    }

    /// The map that `combine` makes of both tries. If this map is empty, its hasher may have no
    /// identity yet, so the result uses the hasher of the other map.
    fn with_aligned(
        &self,
        other: &Self,
        combine: impl FnOnce(&TrieOf<K, V>, &TrieOf<K, V>) -> Result<TrieOf<K, V>, Infallible>,
    ) -> Self
    where
        S: Clone,
    {
        let hashing = if self.is_empty() { other } else { self };
        let Ok(combined) = combine(&hashing.aligned(self), &hashing.aligned(other));
        hashing.derived(combined)
    }

    /// The entries of both maps. A key in both maps keeps the value of this map.
    ///
    /// O(k log n) if one map was derived from the other by k changes, or both from a third map; else
    /// O(n). To let the values of the other map win, use [`extend`](Extend::extend).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let a = HashTrieMap::from([("x", 1), ("y", 1)]);
    /// let b = HashTrieMap::from([("y", 2), ("z", 2)]);
    /// assert_eq!(a.union(&b), HashTrieMap::from([("x", 1), ("y", 1), ("z", 2)]));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn union(&self, other: &Self) -> Self
    where
        S: Clone,
    {
        self.with_aligned(other, |ours, theirs| ours.union(theirs, &mut Keys))
    }

    /// The entries of both maps. A key in both maps gets the value that `function` returns for the key
    /// and both values. O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let a = HashTrieMap::from([("x", 1), ("y", 1)]);
    /// let b = HashTrieMap::from([("y", 2), ("z", 2)]);
    /// let sums = a.union_with(&b, |_, ours, theirs| ours + theirs);
    /// assert_eq!(sums, HashTrieMap::from([("x", 1), ("y", 3), ("z", 2)]));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn union_with(&self, other: &Self, mut function: impl FnMut(&K, &V, &V) -> V) -> Self
    where
        S: Clone,
    {
        self.with_aligned(other, |ours, theirs| {
            ours.union_with(theirs, &mut Keys, |a, b| Ok(function(&a.key, &a.value, &b.value)))
        })
    }

    /// The entries of this map whose keys the other map has too. Same cost as
    /// [`union`](Self::union).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let a = HashTrieMap::from([("x", 1), ("y", 1)]);
    /// let b = HashTrieMap::from([("y", 2), ("z", 2)]);
    /// assert_eq!(a.intersection(&b), HashTrieMap::from([("y", 1)]));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn intersection(&self, other: &Self) -> Self
    where
        S: Clone,
    {
        let Ok(common) = self.trie.intersection(&self.aligned(other), &mut Keys);
        self.derived(common)
    }

    /// The keys of both maps, with the values that `function` returns for a key and its two values.
    /// O(n log m) for n entries of this map and m entries of the other.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let prices = HashTrieMap::from([("tea", 1.5), ("cake", 3.0)]);
    /// let counts = HashTrieMap::from([("tea", 2), ("milk", 1)]);
    /// let sums = prices.intersection_with(&counts, |_, price, &count| price * f64::from(count));
    /// assert_eq!(sums, HashTrieMap::from([("tea", 3.0)]));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn intersection_with<W, U>(
        &self,
        other: &HashTrieMap<K, W, S>,
        mut function: impl FnMut(&K, &V, &W) -> U,
    ) -> HashTrieMap<K, U, S>
    where
        S: Clone,
    {
        let entries = self.trie.iter().filter_map(|(hash, entry)| {
            let (key, value) = (entry.key.clone(), &entry.value);
            let value = function(&entry.key, value, other.get(&entry.key)?);
            Some((hash, EntryOf::<ArcHeap<K, U>> { key, value }))
        });
        let Ok(root) = build_sorted(entries.collect());
        self.derived(Trie::from_root(root))
    }

    /// The entries of this map whose keys the other map does not have. Same cost as
    /// [`union`](Self::union).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let a = HashTrieMap::from([("x", 1), ("y", 1)]);
    /// let b = HashTrieMap::from([("y", 2), ("z", 2)]);
    /// assert_eq!(a.difference(&b), HashTrieMap::from([("x", 1)]));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn difference(&self, other: &Self) -> Self
    where
        S: Clone,
    {
        let Ok(rest) = self.trie.difference(&self.aligned(other), &mut Keys);
        self.derived(rest)
    }

    /// The entries with keys that exactly one of the maps has. Same cost as [`union`](Self::union).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let a = HashTrieMap::from([("x", 1), ("y", 1)]);
    /// let b = HashTrieMap::from([("y", 2), ("z", 2)]);
    /// assert_eq!(a.symmetric_difference(&b), HashTrieMap::from([("x", 1), ("z", 2)]));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn symmetric_difference(&self, other: &Self) -> Self
    where
        S: Clone,
    {
        self.with_aligned(other, |ours, theirs| ours.symmetric_difference(theirs, &mut Keys))
    }
}

impl<K: Clone, V: Clone, S> HashTrieMap<K, V, S> {
    /// A map of the entries for which `predicate` is true. O(n); subtrees that are kept whole are
    /// shared, and only entries of other leaves are cloned.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map: HashTrieMap<u32, u32> = (0..10).map(|n| (n, n)).collect();
    /// assert_eq!(map.filter(|_, value| *value > 7).len(), 2);
    /// assert!(map.filter(|_, _| true).ptr_eq(&map));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn filter(&self, mut predicate: impl FnMut(&K, &V) -> bool) -> Self
    where
        S: Clone,
    {
        let Ok(kept) = self.trie.filter(|entry| Ok(predicate(&entry.key, &entry.value)));
        self.derived(kept)
    }

    /// A map of the same keys, with the values that `function` returns for the old ones. O(n); keys
    /// are not hashed again.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(map.map_values(|n| n.to_string())["b"], "2");
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn map_values<W>(&self, mut function: impl FnMut(&V) -> W) -> HashTrieMap<K, W, S>
    where
        S: Clone,
    {
        let entries = self.trie.iter().map(|(hash, entry)| {
            let value = function(&entry.value);
            (hash, EntryOf::<ArcHeap<K, W>> { key: entry.key.clone(), value })
        });
        let Ok(root) = build_sorted(entries.collect());
        self.derived(Trie::from_root(root))
    }
}
