//! The traits that collections implement: comparison, hashing, conversion.

use super::HashTrieSet;
use crate::map::hash_trie_map::HashTrieMap;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};

impl<T: Eq + Hash, S: BuildHasher> PartialEq for HashTrieSet<T, S> {
    /// O(k log n) for k differences between sets that share nodes, else O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// assert_eq!(HashTrieSet::from(["a", "b"]), HashTrieSet::from(["b", "a"]));
    /// ```
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map
    }
}

impl<T: Eq + Hash, S: BuildHasher> Eq for HashTrieSet<T, S> {}

impl<T: Eq + Hash, S: BuildHasher> Hash for HashTrieSet<T, S> {
    /// O(n). Equal sets have equal hashes, whatever their hashers and their order of iteration.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let groups = HashTrieSet::from([HashTrieSet::from(["a", "b"])]);
    /// assert!(groups.contains(&HashTrieSet::from(["b", "a"])));
    /// ```
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.map.hash(state);
    }
}

impl<T: fmt::Debug, S> fmt::Debug for HashTrieSet<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl<T: Eq + Hash, S: BuildHasher + Default> FromIterator<T> for HashTrieSet<T, S> {
    /// A set of these items; of equal items, the first. O(n log n) to sort the hashes, else O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let letters: HashTrieSet<char> = "tattoo".chars().collect();
    /// assert_eq!(letters.len(), 3);
    /// ```
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self { map: items.into_iter().map(|item| (item, ())).collect() }
    }
}

impl<T: Clone + Eq + Hash, S: BuildHasher> Extend<T> for HashTrieSet<T, S> {
    /// Adds each item. O(k log n) for k items.
    ///
    /// If the iterator panics, the set is unchanged. If `Eq` or `Clone` of an item panics, the set has
    /// some of the items.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from([1]);
    /// set.extend([1, 2]);
    /// assert_eq!(set.len(), 2);
    /// ```
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.map.extend(items.into_iter().map(|item| (item, ())));
    }
}

impl<'a, T: Clone + Eq + Hash, S: BuildHasher> Extend<&'a T> for HashTrieSet<T, S> {
    /// Adds a clone of each item. O(k log n) for k items.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from([1]);
    /// set.extend(&HashTrieSet::from([2]));
    /// assert_eq!(set.len(), 2);
    /// ```
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, items: I) {
        self.extend(items.into_iter().cloned());
    }
}

/// Implements `From` for a collection of items.
macro_rules! from {
    ($([$($generics:tt)*] $source:ty, $example:literal;)*) => {$(
        impl<T: Eq + Hash, $($generics)*> From<$source> for HashTrieSet<T> {
            /// A set of these items. O(n log n).
            ///
            /// ```
            /// use ctxvars::HashTrieSet;
            ///
            #[doc = concat!("assert_eq!(HashTrieSet::from(", $example, ").len(), 2);")]
            /// ```
            fn from(items: $source) -> Self {
                items.into_iter().collect()
            }
        }
    )*};
}

from! {
    [const N: usize] [T; N], "[1, 2]";
    [] Vec<T>, "vec![1, 2]";
    [] BTreeSet<T>, "std::collections::BTreeSet::from([1, 2])";
}

#[cfg(feature = "std")]
from! {
    [R] std::collections::HashSet<T, R>, "std::collections::HashSet::from([1, 2])";
}

impl<T, S> From<HashTrieMap<T, (), S>> for HashTrieSet<T, S> {
    /// The set of the keys. O(1): the nodes of the map become those of the set.
    ///
    /// ```
    /// use ctxvars::{HashTrieMap, HashTrieSet};
    ///
    /// let map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(HashTrieSet::from(map.map_values(|_| ())).len(), 2);
    /// ```
    fn from(map: HashTrieMap<T, (), S>) -> Self {
        Self { map }
    }
}
