//! The map of Rust programs: keys that know their hash and cannot fail.

use super::arc_heap::ArcHeap;
use super::combine::Compare;
use super::hash::Hash;
use super::trie::{Insertion, Trie};
use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// A persistent hash map: a clone is O(1) and shares all nodes with the original.
///
/// ```
/// use ctxvars::HashTrieMap;
///
/// let mut squares: HashTrieMap<u32, u32> = (1..=3).map(|n| (n, n * n)).collect();
/// let before = squares.clone();
/// squares.insert(4, 16);
/// assert_eq!(squares.get(&4), Some(&16));
/// assert_eq!(before.get(&4), None);
/// assert_ne!(squares, before);
/// ```
///
/// | operation | cost |
/// | --- | --- |
/// | `clone`, `len`, `new` | O(1) |
/// | `get`, `insert`, `remove` | O(log n) |
/// | `==` | O(changes x log n) between maps that share nodes, else O(n) |
/// | `iter` | O(n) |
pub struct HashTrieMap<K: Clone, V: Clone, S = RandomState> {
    trie: Trie<ArcHeap<K, V>>,
    hasher: S,
}

impl<K: Clone, V: Clone, S: Clone> Clone for HashTrieMap<K, V, S> {
    fn clone(&self) -> Self {
        Self { trie: self.trie.clone(), hasher: self.hasher.clone() }
    }
}

impl<K: Clone, V: Clone, S: Default> Default for HashTrieMap<K, V, S> {
    fn default() -> Self {
        Self { trie: Trie::new(), hasher: S::default() }
    }
}

impl<K: Clone, V: Clone> HashTrieMap<K, V> {
    /// A map without entries, whose hasher is seeded at random. O(1), allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A result that cannot be an error.
#[inline]
fn certain<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

impl<K, V, S> HashTrieMap<K, V, S>
where
    K: Clone + Eq + std::hash::Hash,
    V: Clone,
    S: BuildHasher,
{
    /// A map without entries that hashes with `hasher`. O(1).
    pub const fn with_hasher(hasher: S) -> Self {
        Self { trie: Trie::new(), hasher }
    }

    #[inline]
    fn hash<Q: std::hash::Hash + ?Sized>(&self, key: &Q) -> Hash {
        Hash::mix(self.hasher.hash_one(key))
    }

    /// The value at `key`. O(log n).
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + std::hash::Hash + ?Sized,
    {
        let found = self.trie.get(self.hash(key), |stored: &K| Ok(stored.borrow() == key));
        certain(found).map(|entry| &entry.value)
    }

    /// Whether `key` has a value. O(log n).
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + std::hash::Hash + ?Sized,
    {
        self.get(key).is_some()
    }

    /// Puts `value` at `key` and returns the value that was there. O(log n).
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hash(&key);
        match certain(self.trie.insert(hash, key, value, |new, stored| Ok(new == stored))) {
            Insertion::Added => None,
            Insertion::Replaced(old) | Insertion::Unchanged(old) => Some(old),
        }
    }

    /// Removes `key` and returns its value. O(log n).
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + std::hash::Hash + ?Sized,
    {
        let hash = self.hash(key);
        let removed = certain(self.trie.remove(hash, |stored: &K| Ok(stored.borrow() == key)));
        removed.map(|entry| entry.value)
    }
}

impl<K: Clone, V: Clone, S> HashTrieMap<K, V, S> {
    /// Number of entries. O(1).
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether there are no entries. O(1).
    pub const fn is_empty(&self) -> bool {
        self.trie.is_empty()
    }

    /// All keys and values, in no particular order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.trie.iter().map(|(_, entry)| (&entry.key, &entry.value))
    }

    /// Whether both maps share all their nodes, and so are equal. O(1).
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.trie.ptr_eq(&other.trie)
    }

    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.trie.check_invariants();
    }
}

/// Compares keys and values by `==`.
struct ByEq;

impl<K: Clone + Eq, V: Clone + PartialEq> Compare<ArcHeap<K, V>> for ByEq {
    fn same(&mut self, a: &K, b: &K) -> Result<bool, Infallible> {
        Ok(a == b)
    }

    fn equal(&mut self, a: &V, b: &V) -> Result<bool, Infallible> {
        Ok(a == b)
    }
}

impl<K, V, S> PartialEq for HashTrieMap<K, V, S>
where
    K: Clone + Eq + std::hash::Hash,
    V: Clone + PartialEq,
    S: BuildHasher,
{
    fn eq(&self, other: &Self) -> bool {
        if self.ptr_eq(other) {
            return true;
        }
        if self.len() != other.len() {
            return false;
        }
        // The hashers may be seeded differently; then the tries cannot be walked in lockstep.
        let same_seed = self.trie.iter().next().is_none_or(|(hash, entry)| {
            hash == other.hash(&entry.key)
                && other.trie.iter().next().is_none_or(|(hash, e)| hash == self.hash(&e.key))
        });
        if same_seed {
            return certain(self.trie.equal(&other.trie, &mut ByEq));
        }
        self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K, V, S> Eq for HashTrieMap<K, V, S>
where
    K: Clone + Eq + std::hash::Hash,
    V: Clone + Eq,
    S: BuildHasher,
{
}

impl<K: Clone + fmt::Debug, V: Clone + fmt::Debug, S> fmt::Debug for HashTrieMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V, S> FromIterator<(K, V)> for HashTrieMap<K, V, S>
where
    K: Clone + Eq + std::hash::Hash,
    V: Clone,
    S: BuildHasher + Default,
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::default();
        map.extend(pairs);
        map
    }
}

impl<K, V, S> Extend<(K, V)> for HashTrieMap<K, V, S>
where
    K: Clone + Eq + std::hash::Hash,
    V: Clone,
    S: BuildHasher,
{
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}
