//! The feature `rayon`: parallel iteration over a set, and parallel construction.

use super::HashTrieSet;
use crate::map::hash_trie_map;
use core::hash::{BuildHasher, Hash};
use rayon::iter::plumbing::UnindexedConsumer;
use rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};

/// A parallel iterator over items: see
/// [`par_iter`](rayon::iter::IntoParallelRefIterator::par_iter).
///
/// ```
/// use ctxvars::hash_trie_set::{HashTrieSet, ParIter};
/// use rayon::prelude::*;
///
/// let set: HashTrieSet<u64> = (0..1000).collect();
/// let items: ParIter<'_, u64> = set.par_iter();
/// assert_eq!(items.filter(|item| **item < 10).count(), 10);
/// ```
pub struct ParIter<'a, T>(hash_trie_map::ParIter<'a, T, ()>);

impl<'a, T: Send + Sync> ParallelIterator for ParIter<'a, T> {
    type Item = &'a T;

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        self.0.map(|(item, ())| item).drive_unindexed(consumer)
    }
}

impl<'a, T: Send + Sync, S> IntoParallelIterator for &'a HashTrieSet<T, S> {
    type Item = &'a T;
    type Iter = ParIter<'a, T>;

    /// A parallel iterator over items. O(n) work, split among threads by subtree.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    /// use rayon::prelude::*;
    ///
    /// let set: HashTrieSet<u64> = (0..10_000).into_par_iter().collect();
    /// assert_eq!(set.par_iter().sum::<u64>(), 49_995_000);
    /// ```
    fn into_par_iter(self) -> Self::Iter {
        ParIter(self.map.into_par_iter())
    }
}

impl<T, S> FromParallelIterator<T> for HashTrieSet<T, S>
where
    T: Eq + Hash + Send,
    S: BuildHasher + Default + Sync,
{
    /// Collects items into a set, as [`FromIterator`]; items are hashed in parallel.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    /// use rayon::prelude::*;
    ///
    /// let remainders: HashTrieSet<u64> = (0..1000).into_par_iter().map(|n| n % 7).collect();
    /// assert_eq!(remainders.len(), 7);
    /// ```
    fn from_par_iter<I: IntoParallelIterator<Item = T>>(items: I) -> Self {
        Self { map: items.into_par_iter().map(|item| (item, ())).collect() }
    }
}

impl<T, S> ParallelExtend<T> for HashTrieSet<T, S>
where
    T: Clone + Eq + Hash + Send,
    S: BuildHasher + Sync,
{
    /// Adds each item, as [`Extend`]; items are hashed in parallel.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    /// use rayon::prelude::*;
    ///
    /// let mut set = HashTrieSet::from([0, 1000]);
    /// set.par_extend((0..1000).into_par_iter());
    /// assert_eq!(set.len(), 1001);
    /// ```
    fn par_extend<I: IntoParallelIterator<Item = T>>(&mut self, items: I) {
        self.map.par_extend(items.into_par_iter().map(|item| (item, ())));
    }
}
