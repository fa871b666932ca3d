//! The iterators of a map.

use super::HashTrieMap;
use crate::map::heap::arc::ArcHeap;
use crate::map::into_iter::IntoEntries;
use crate::map::iter;
use core::fmt;
use core::iter::FusedIterator;

/// An iterator over keys and values: see [`HashTrieMap::iter`].
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, Iter};
///
/// let map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1), ("b", 2)]);
/// let entries: Iter<'_, &str, i32> = map.iter();
/// assert_eq!(entries.clone().count(), entries.len());
/// for (key, value) in &map {
///     assert_eq!(map[key], *value);
/// }
/// ```
pub struct Iter<'a, K, V>(iter::Iter<'a, ArcHeap<K, V>>);

/// An iterator over keys and mutable values: see [`HashTrieMap::iter_mut`].
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, IterMut};
///
/// let mut map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1), ("b", 2)]);
/// let entries: IterMut<'_, &str, i32> = map.iter_mut();
/// assert_eq!(entries.len(), 2);
/// for (_, value) in &mut map {
///     *value = -*value;
/// }
/// assert_eq!(map, HashTrieMap::from([("a", -1), ("b", -2)]));
/// ```
pub struct IterMut<'a, K, V>(iter::IterMut<'a, ArcHeap<K, V>>);

/// An iterator over keys: see [`HashTrieMap::keys`].
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, Keys};
///
/// let map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1), ("b", 2)]);
/// let keys: Keys<'_, &str, i32> = map.keys();
/// assert!(keys.clone().zip(map.iter()).all(|(key, (same, _))| key == same));
/// assert_eq!(keys.len(), 2);
/// ```
pub struct Keys<'a, K, V>(Iter<'a, K, V>);

/// An iterator over values: see [`HashTrieMap::values`].
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, Values};
///
/// let map: HashTrieMap<&str, i32> = HashTrieMap::from([("a", 1), ("b", 2)]);
/// let values: Values<'_, &str, i32> = map.values();
/// assert_eq!(values.clone().product::<i32>() + values.sum::<i32>(), 5);
/// ```
pub struct Values<'a, K, V>(Iter<'a, K, V>);

/// An iterator over mutable values: see [`HashTrieMap::values_mut`].
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, ValuesMut};
///
/// let mut map: HashTrieMap<&str, Vec<u32>> = HashTrieMap::from([("a", vec![2, 1])]);
/// let lists: ValuesMut<'_, &str, Vec<u32>> = map.values_mut();
/// lists.for_each(|list| list.sort());
/// assert_eq!(map["a"], [1, 2]);
/// ```
pub struct ValuesMut<'a, K, V>(IterMut<'a, K, V>);

/// An iterator over the keys and values of a consumed map: see [`HashTrieMap::into_iter`](IntoIterator::into_iter).
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, IntoIter};
///
/// let map: HashTrieMap<&str, String> = HashTrieMap::from([("a", "one".to_owned())]);
/// let mut entries: IntoIter<&str, String> = map.into_iter();
/// assert_eq!(entries.next(), Some(("a", "one".to_owned()))); // moved: the map is not shared
/// assert_eq!(entries.next(), None);
/// ```
pub struct IntoIter<K, V>(pub(super) IntoEntries<ArcHeap<K, V>>);

/// An iterator over the keys of a consumed map: see [`HashTrieMap::into_keys`].
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, IntoKeys};
///
/// let keys: IntoKeys<&str, i32> = HashTrieMap::from([("a", 1)]).into_keys();
/// assert_eq!(keys.collect::<String>(), "a");
/// ```
pub struct IntoKeys<K, V>(IntoIter<K, V>);

/// An iterator over the values of a consumed map: see [`HashTrieMap::into_values`].
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, IntoValues};
///
/// let values: IntoValues<&str, i32> = HashTrieMap::from([("a", 1), ("b", 2)]).into_values();
/// assert_eq!(values.sum::<i32>(), 3);
/// ```
pub struct IntoValues<K, V>(IntoIter<K, V>);

/// Implements an iterator that maps the items of an inner iterator with a known length.
macro_rules! iterator {
    ([$($generics:tt)*] $name:ty, $item:ty, $make:expr) => {
        impl<$($generics)*> Iterator for $name {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                self.0.next().map($make)
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }

            #[inline]
            fn fold<B, F: FnMut(B, Self::Item) -> B>(self, start: B, each: F) -> B {
                self.0.map($make).fold(start, each)
            }
        }

        impl<$($generics)*> ExactSizeIterator for $name {}

        impl<$($generics)*> FusedIterator for $name {}
    };
}

iterator!(['a, K, V] Iter<'a, K, V>, (&'a K, &'a V), |(_, entry)| (&entry.key, &entry.value));
iterator!(['a, K, V] IterMut<'a, K, V>, (&'a K, &'a mut V), |pair| pair);
iterator!(['a, K, V] Keys<'a, K, V>, &'a K, |(key, _)| key);
iterator!(['a, K, V] Values<'a, K, V>, &'a V, |(_, value)| value);
iterator!(['a, K, V] ValuesMut<'a, K, V>, &'a mut V, |(_, value)| value);
iterator!([K: Clone, V: Clone] IntoIter<K, V>, (K, V), |(_, entry)| (entry.key, entry.value));
iterator!([K: Clone, V: Clone] IntoKeys<K, V>, K, |(key, _)| key);
iterator!([K: Clone, V: Clone] IntoValues<K, V>, V, |(_, value)| value);

/// Implements `Default`: an iterator over no entries.
macro_rules! empty {
    ($([$($generics:tt)*] $name:ty, $inner:expr;)*) => {$(
        impl<$($generics)*> Default for $name {
            /// An iterator over no entries.
            fn default() -> Self {
                Self($inner)
            }
        }
    )*};
}

empty! {
    ['a, K, V] Iter<'a, K, V>, iter::Iter::below(None, 0);
    ['a, K, V] IterMut<'a, K, V>, iter::IterMut::empty();
    ['a, K, V] Keys<'a, K, V>, Iter::default();
    ['a, K, V] Values<'a, K, V>, Iter::default();
    ['a, K, V] ValuesMut<'a, K, V>, IterMut::default();
    [K, V] IntoIter<K, V>, IntoEntries::of(None);
    [K, V] IntoKeys<K, V>, IntoIter::default();
    [K, V] IntoValues<K, V>, IntoIter::default();
}

/// Implements `Debug`: a list of the items that are left.
macro_rules! debug {
    ($([$($generics:tt)*] $name:ty, |$this:ident, $list:ident| $entries:expr;)*) => {$(
        impl<$($generics)*> fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (mut $list, $this) = (f.debug_list(), self);
                $entries;
                $list.finish()
            }
        }
    )*};
}

debug! {
    [K: fmt::Debug, V: fmt::Debug] Iter<'_, K, V>, |this, list| list.entries(this.clone());
    [K: fmt::Debug, V] Keys<'_, K, V>, |this, list| list.entries(this.clone());
    [K, V: fmt::Debug] Values<'_, K, V>, |this, list| list.entries(this.clone());
    [K: fmt::Debug, V: fmt::Debug] IterMut<'_, K, V>, |this, list| list.entries(this.left());
    [K, V: fmt::Debug] ValuesMut<'_, K, V>,
        |this, list| list.entries(this.0.left().map(|(_, value)| value));
    [K: fmt::Debug, V: fmt::Debug] IntoIter<K, V>,
        |this, list| this.0.for_each_left(|it| {
            list.entry(&(&it.key, &it.value));
        });
    [K, V: fmt::Debug] IntoValues<K, V>,
        |this, list| this.0.0.for_each_left(|it| {
            list.entry(&it.value);
        });
}

impl<K: fmt::Debug, V> IntoIter<K, V> {
    /// Writes the keys that are left.
    pub(super) fn fmt_keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        self.0.for_each_left(|it| {
            list.entry(&it.key);
        });
        list.finish()
    }
}

impl<K: fmt::Debug, V> fmt::Debug for IntoKeys<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_keys(f)
    }
}

impl<K, V> IterMut<'_, K, V> {
    /// The entries that are left.
    fn left(&self) -> Iter<'_, K, V> {
        Iter(self.0.left())
    }
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Clone for Keys<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Clone for Values<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V, S> HashTrieMap<K, V, S> {
    /// Iterates over all keys and values, in an unspecified order. O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(map.iter().len(), 2);
    /// assert_eq!(map.iter().map(|(_, value)| value).sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter(self.trie.iter())
    }

    /// Iterates over all keys. O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1)]);
    /// assert_eq!(map.keys().collect::<Vec<_>>(), [&"a"]);
    /// ```
    pub fn keys(&self) -> Keys<'_, K, V> {
        Keys(self.iter())
    }

    /// Iterates over all values, in the order of [`keys`](Self::keys). O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(map.values().max(), Some(&2));
    /// ```
    pub fn values(&self) -> Values<'_, K, V> {
        Values(self.iter())
    }
}

impl<K: Clone, V: Clone, S> HashTrieMap<K, V, S> {
    /// Iterates over all keys, and all values mutably. O(n): shared nodes are copied first.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// let before = map.clone();
    /// for (_, value) in map.iter_mut() {
    ///     *value *= 10;
    /// }
    /// assert_eq!((map["b"], before["b"]), (20, 2));
    /// ```
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut(self.trie.iter_mut())
    }

    /// Iterates over all values mutably. Same cost as [`iter_mut`](Self::iter_mut).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// map.values_mut().for_each(|value| *value += 1);
    /// assert_eq!(map, HashTrieMap::from([("a", 2), ("b", 3)]));
    /// ```
    pub fn values_mut(&mut self) -> ValuesMut<'_, K, V> {
        ValuesMut(self.iter_mut())
    }

    /// Consumes the map, and iterates over its keys. O(n): keys are moved out of the map, or cloned if
    /// another map shares them.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a".to_owned(), 1)]);
    /// assert_eq!(map.into_keys().collect::<Vec<String>>(), ["a"]);
    /// ```
    pub fn into_keys(self) -> IntoKeys<K, V> {
        IntoKeys(self.into_iter())
    }

    /// Consumes the map, and iterates over its values. O(n), as [`into_keys`](Self::into_keys).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", vec![1]), ("b", vec![2])]);
    /// assert_eq!(map.into_values().flatten().sum::<i32>(), 3);
    /// ```
    pub fn into_values(self) -> IntoValues<K, V> {
        IntoValues(self.into_iter())
    }
}

impl<'a, K, V, S> IntoIterator for &'a HashTrieMap<K, V, S> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K: Clone, V: Clone, S> IntoIterator for &'a mut HashTrieMap<K, V, S> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<K: Clone, V: Clone, S> IntoIterator for HashTrieMap<K, V, S> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    /// Iterates over all keys and values: they are moved out of the map, or cloned if another map
    /// shares them. O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// let mut entries: Vec<(&str, i32)> = map.into_iter().collect();
    /// entries.sort();
    /// assert_eq!(entries, [("a", 1), ("b", 2)]);
    /// ```
    fn into_iter(self) -> Self::IntoIter {
        IntoIter(self.trie.into_entries())
    }
}
