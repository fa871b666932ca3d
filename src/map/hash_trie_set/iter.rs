//! The iterators of a set, and operations on each item.

use super::HashTrieSet;
use crate::map::hash_trie_map::{self as map, IntoKeys, Keys};
use core::fmt;
use core::iter::FusedIterator;

/// An iterator over items: see [`HashTrieSet::iter`].
///
/// ```
/// use ctxvars::hash_trie_set::{HashTrieSet, Iter};
///
/// let set = HashTrieSet::from([1, 2]);
/// let items: Iter<'_, i32> = set.iter();
/// assert_eq!(items.clone().sum::<i32>(), 3);
/// ```
pub struct Iter<'a, T>(Keys<'a, T, ()>);

/// An iterator over the items of a consumed set: see
/// [`HashTrieSet::into_iter`](IntoIterator::into_iter).
///
/// ```
/// use ctxvars::hash_trie_set::{HashTrieSet, IntoIter};
///
/// let items: IntoIter<i32> = HashTrieSet::from([1, 2]).into_iter();
/// assert_eq!(items.sum::<i32>(), 3);
/// ```
pub struct IntoIter<T>(IntoKeys<T, ()>);

/// The items of a set that [`HashTrieSet::drain`] has emptied.
///
/// ```
/// use ctxvars::hash_trie_set::{Drain, HashTrieSet};
///
/// let mut set = HashTrieSet::from([1, 2]);
/// let items: Drain<'_, i32> = set.drain();
/// assert_eq!(items.sum::<i32>(), 3);
/// ```
pub struct Drain<'a, T>(map::Drain<'a, T, ()>);

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

iterator!(['a, T] Iter<'a, T>, &'a T, |item| item);
iterator!([T: Clone] IntoIter<T>, T, |item| item);
iterator!([T: Clone] Drain<'_, T>, T, |(item, ())| item);

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Iter<'_, T> {
    /// An iterator over no items.
    fn default() -> Self {
        Self(Keys::default())
    }
}

impl<T> Default for IntoIter<T> {
    /// An iterator over no items.
    fn default() -> Self {
        Self(IntoKeys::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Drain<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_keys(f)
    }
}

impl<T, S> HashTrieSet<T, S> {
    /// Iterates over all items, in an unspecified order. O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// assert_eq!(HashTrieSet::from([1, 2]).iter().max(), Some(&2));
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self.map.keys())
    }
}

impl<T: Clone, S> HashTrieSet<T, S> {
    /// Removes all items, and iterates over them. O(n), as [`HashTrieMap::drain`](crate::HashTrieMap::drain).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set = HashTrieSet::from([1, 2]);
    /// assert_eq!(set.drain().sum::<i32>(), 3);
    /// assert!(set.is_empty());
    /// ```
    pub fn drain(&mut self) -> Drain<'_, T> {
        Drain(self.map.drain())
    }

    /// Removes the items for which `predicate` is false. O(n).
    ///
    /// If no other set shares nodes, no item is cloned. Otherwise subtrees that are kept whole stay
    /// shared, and only items of other leaves are cloned.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set: HashTrieSet<u32> = (0..10).collect();
    /// set.retain(|item| item % 2 == 0);
    /// assert_eq!(set.len(), 5);
    /// ```
    pub fn retain(&mut self, mut predicate: impl FnMut(&T) -> bool) {
        if self.map.trie.is_unshared() {
            return self.map.retain(|item, ()| predicate(item));
        }
        let Ok(kept) = self.map.trie.filter(|entry| Ok(predicate(&entry.key)));
        self.map.trie = kept;
    }

    /// Removes the items for which `predicate` is true, and iterates over them. O(n), as
    /// [`HashTrieMap::extract_if`](crate::HashTrieMap::extract_if).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let mut set: HashTrieSet<u32> = (0..10).collect();
    /// let even: HashTrieSet<u32> = set.extract_if(|item| item % 2 == 0).collect();
    /// assert!(even.is_disjoint(&set));
    /// ```
    pub fn extract_if(
        &mut self,
        mut predicate: impl FnMut(&T) -> bool,
    ) -> impl FusedIterator<Item = T> {
        self.map.extract_if(move |item, ()| predicate(item)).map(|(item, ())| item)
    }

    /// A set of the items for which `predicate` is true. O(n); subtrees that are kept whole are shared.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let set: HashTrieSet<u32> = (0..10).collect();
    /// assert_eq!(set.filter(|item| *item > 7), HashTrieSet::from([8, 9]));
    /// assert!(set.filter(|_| true).ptr_eq(&set));
    /// ```
    #[must_use = "the set itself does not change"]
    pub fn filter(&self, mut predicate: impl FnMut(&T) -> bool) -> Self
    where
        S: Clone,
    {
        Self { map: self.map.filter(|item, ()| predicate(item)) }
    }
}

impl<'a, T, S> IntoIterator for &'a HashTrieSet<T, S> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Clone, S> IntoIterator for HashTrieSet<T, S> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    /// Iterates over all items: they are moved out of the set, or cloned if another set shares them.
    /// O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let items: Vec<String> = HashTrieSet::from(["a".to_owned()]).into_iter().collect();
    /// assert_eq!(items, ["a"]);
    /// ```
    fn into_iter(self) -> Self::IntoIter {
        IntoIter(self.map.into_keys())
    }
}
