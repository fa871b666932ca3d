//! The traits that collections implement: comparison, hashing, indexing, conversion.

use super::hasher::DefaultHashBuilder;
use super::{HashTrieMap, KeysAndValues};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::array;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use core::ops::Index;

impl<K, V, S> PartialEq for HashTrieMap<K, V, S>
where
    K: Eq + Hash,
    V: PartialEq,
    S: BuildHasher,
{
    /// O(k log n) for k differences between maps that share nodes, else O(n).
    ///
    /// Values in shared nodes are not compared. A value that is not equal to itself, such as NaN,
    /// counts as equal there.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(map, HashTrieMap::from([("b", 2), ("a", 1)]));
    /// assert_ne!(map, map.update("a", 3));
    /// ```
    fn eq(&self, other: &Self) -> bool {
        if self.has_same_hasher(other) {
            let Ok(equal) = self.trie.equal(&other.trie, &mut KeysAndValues);
            return equal;
        }
        self.len() == other.len() && self.is_submap(other)
    }
}

impl<K, V, S> Eq for HashTrieMap<K, V, S>
where
    K: Eq + Hash,
    V: Eq,
    S: BuildHasher,
{
}

impl<K, V, S> Hash for HashTrieMap<K, V, S>
where
    K: Eq + Hash,
    V: Hash,
    S: BuildHasher,
{
    /// O(n). Equal maps have equal hashes, whatever their hashers and their order of iteration.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use std::collections::HashSet;
    ///
    /// let base = HashTrieMap::from([("a", 1)]);
    /// let seen = HashSet::from([base.clone(), base.update("b", 2)]);
    /// assert!(seen.contains(&HashTrieMap::from([("b", 2), ("a", 1)])));
    /// ```
    fn hash<H: Hasher>(&self, state: &mut H) {
        let sum = self.iter().fold(0_u64, |sum, entry| {
            // A sum does not depend on the order of entries.
            sum.wrapping_add(DefaultHashBuilder.hash_one(entry))
        });
        state.write_usize(self.len());
        state.write_u64(sum);
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for HashTrieMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V, S, Q> Index<&Q> for HashTrieMap<K, V, S>
where
    K: Eq + Hash + Borrow<Q>,
    S: BuildHasher,
    Q: Eq + Hash + ?Sized,
{
    type Output = V;

    /// The value at `key`. O(log n).
    ///
    /// # Panics
    ///
    /// If the map does not have the key. [`get`](HashTrieMap::get) returns `None` instead.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map: HashTrieMap<String, i32> = HashTrieMap::from([("a".to_owned(), 1)]);
    /// assert_eq!(map["a"], 1);
    /// ```
    ///
    /// ```should_panic
    /// # use ctxvars::HashTrieMap;
    /// # let map: HashTrieMap<String, i32> = HashTrieMap::from([("a".to_owned(), 1)]);
    /// map["b"];
    /// ```
    fn index(&self, key: &Q) -> &V {
        match self.get(key) {
            Some(value) => value,
            None => panic!("the map does not have this key"),
        }
    }
}

impl<K, V, S> FromIterator<(K, V)> for HashTrieMap<K, V, S>
where
    K: Eq + Hash,
    S: BuildHasher + Default,
{
    /// A map of these entries; of entries with equal keys, the first key and the last value. O(n log n)
    /// to sort the hashes, else O(n). It is faster than inserting one by one.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let words = ["tea", "milk"];
    /// let lengths: HashTrieMap<_, _> = words.into_iter().map(|word| (word, word.len())).collect();
    /// assert_eq!(lengths["milk"], 4);
    /// ```
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let hasher = S::default();
        let hashed = |(key, value)| Self::hash_entry(&hasher, key, value);
        let entries = entries.into_iter().map(hashed).collect();
        Self::of_hashed(hasher, entries)
    }
}

/// Up to this many entries need no vector while a map is extended.
const FEW: usize = 4;

impl<K, V, S> Extend<(K, V)> for HashTrieMap<K, V, S>
where
    K: Clone + Eq + Hash,
    V: Clone,
    S: BuildHasher,
{
    /// Inserts each entry. O(k log n) for k entries.
    ///
    /// If the iterator panics, the map is unchanged. If `Eq` or `Clone` of a key panics, or the
    /// destructor of an old value, the map has some of the entries.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// map.extend([("b", 3), ("c", 4)]);
    /// assert_eq!(map, HashTrieMap::from([("a", 1), ("b", 3), ("c", 4)]));
    /// ```
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let hasher = &self.hasher;
        let hashed = |(key, value)| Self::hash_entry(hasher, key, value);
        let entries = entries.into_iter().map(hashed);
        // All entries are hashed before the first one is inserted, since the iterator may panic.
        if entries.size_hint().1.is_none_or(|most| most > FEW) || self.is_empty() {
            let entries = entries.collect();
            return self.extend_hashed(entries);
        }
        let mut entries = entries.fuse();
        let few: [_; FEW] = array::from_fn(|_| entries.next());
        few.into_iter().flatten().for_each(|entry| self.insert_hashed(entry));
    }
}

impl<'a, K, V, S> Extend<(&'a K, &'a V)> for HashTrieMap<K, V, S>
where
    K: Clone + Eq + Hash,
    V: Clone,
    S: BuildHasher,
{
    /// Inserts a clone of each entry. O(k log n) for k entries.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1)]);
    /// let more = HashTrieMap::from([("b", 2)]);
    /// map.extend(&more);
    /// assert_eq!((map.len(), more.len()), (2, 1));
    /// ```
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        self.extend(entries.into_iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

impl<K: Eq + Hash, V, const N: usize> From<[(K, V); N]> for HashTrieMap<K, V> {
    /// A map of these entries; of entries with equal keys, the first key and the last value.
    /// O(n log n).
    ///
    /// With another hasher: [`collect`](Iterator::collect) or [`extend`](Extend::extend).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1), ("a", 2)]);
    /// assert_eq!((map.len(), map["a"]), (1, 2));
    /// ```
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Eq + Hash, V> From<Vec<(K, V)>> for HashTrieMap<K, V> {
    /// As for an array. O(n log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// assert_eq!(HashTrieMap::from(vec![("a", 1), ("b", 2)])["b"], 2);
    /// ```
    fn from(entries: Vec<(K, V)>) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Eq + Hash, V> From<BTreeMap<K, V>> for HashTrieMap<K, V> {
    /// A map of the same entries. O(n log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use std::collections::BTreeMap;
    ///
    /// assert_eq!(HashTrieMap::from(BTreeMap::from([("a", 1), ("b", 2)]))["b"], 2);
    /// ```
    fn from(map: BTreeMap<K, V>) -> Self {
        map.into_iter().collect()
    }
}

#[cfg(feature = "std")]
impl<K: Eq + Hash, V, R> From<std::collections::HashMap<K, V, R>> for HashTrieMap<K, V> {
    /// A map of the same entries. O(n log n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use std::collections::HashMap;
    ///
    /// assert_eq!(HashTrieMap::from(HashMap::from([("a", 1), ("b", 2)]))["b"], 2);
    /// ```
    fn from(map: std::collections::HashMap<K, V, R>) -> Self {
        map.into_iter().collect()
    }
}
