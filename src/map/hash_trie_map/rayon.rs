//! The feature `rayon`: parallel iteration over a map, and parallel construction.

use super::HashTrieMap;
use crate::map::build::HashedEntry;
use crate::map::heap::arc::ArcHeap;
use crate::map::iter::Iter;
use crate::map::node::Contents;
use crate::map::node::reference::NodeRef;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use rayon::iter::plumbing::{Folder, UnindexedConsumer, UnindexedProducer, bridge_unindexed};
use rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};

/// A parallel iterator over keys and values: see
/// [`par_iter`](rayon::iter::IntoParallelRefIterator::par_iter).
///
/// ```
/// use ctxvars::hash_trie_map::{HashTrieMap, ParIter};
/// use rayon::prelude::*;
///
/// let map: HashTrieMap<u64, u64> = (0..1000).map(|n| (n, n * n)).collect();
/// let entries: ParIter<'_, u64, u64> = map.par_iter();
/// assert_eq!(entries.filter(|(_, value)| **value < 100).count(), 10);
/// ```
pub struct ParIter<'a, K, V> {
    root: Option<&'a NodeRef<ArcHeap<K, V>>>,
}

/// Subtrees, with their depths, that one thread visits. It may give half of them to another thread.
struct Subtrees<'a, K, V>(Vec<(&'a NodeRef<ArcHeap<K, V>>, u32)>);

/// Subtrees with fewer entries are not split.
const MIN_SPLIT_LEN: usize = 256;

impl<'a, K, V> UnindexedProducer for Subtrees<'a, K, V>
where
    K: Send + Sync,
    V: Send + Sync,
{
    type Item = (&'a K, &'a V);

    fn split(mut self) -> (Self, Option<Self>) {
        if let [(node, depth)] = self.0[..] {
            match node.contents() {
                Contents::Branch(children) if node.len() > MIN_SPLIT_LEN => {
                    self.0 = children.iter().map(|child| (child, depth + 1)).collect();
                }
                _ => return (self, None),
            }
        }
        let half = self.0.len() / 2;
        let others = self.0.split_off(half);
        if self.0.is_empty() { (Self(others), None) } else { (self, Some(Self(others))) }
    }

    fn fold_with<F: Folder<Self::Item>>(self, folder: F) -> F {
        let below = |(node, depth)| Iter::below(Some(node), depth);
        folder.consume_iter(self.0.into_iter().flat_map(below).map(|(_, it)| (&it.key, &it.value)))
    }
}

impl<'a, K, V> ParallelIterator for ParIter<'a, K, V>
where
    K: Send + Sync,
    V: Send + Sync,
{
    type Item = (&'a K, &'a V);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        bridge_unindexed(Subtrees(self.root.map(|root| (root, 0)).into_iter().collect()), consumer)
    }
}

impl<'a, K, V, S> IntoParallelIterator for &'a HashTrieMap<K, V, S>
where
    K: Send + Sync,
    V: Send + Sync,
{
    type Item = (&'a K, &'a V);
    type Iter = ParIter<'a, K, V>;

    /// A parallel iterator over keys and values. O(n) work, split among threads by subtree.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use rayon::prelude::*;
    ///
    /// let map: HashTrieMap<u64, u64> = (0..10_000).into_par_iter().map(|n| (n, n)).collect();
    /// assert_eq!(map.par_iter().map(|(_, value)| value).sum::<u64>(), 49_995_000);
    /// ```
    fn into_par_iter(self) -> Self::Iter {
        ParIter { root: self.trie.root() }
    }
}

impl<K, V, S> HashTrieMap<K, V, S>
where
    K: Eq + Hash + Send,
    V: Send,
    S: BuildHasher + Sync,
{
    fn hash_in_parallel(
        hasher: &S,
        entries: impl IntoParallelIterator<Item = (K, V)>,
    ) -> Vec<HashedEntry<ArcHeap<K, V>>> {
        entries.into_par_iter().map(|(key, value)| Self::hash_entry(hasher, key, value)).collect()
    }
}

impl<K, V, S> FromParallelIterator<(K, V)> for HashTrieMap<K, V, S>
where
    K: Eq + Hash + Send,
    V: Send,
    S: BuildHasher + Default + Sync,
{
    /// Collects entries into a map, as [`FromIterator`]; keys are hashed in parallel.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use rayon::prelude::*;
    ///
    /// let squares = (0..1000).into_par_iter().map(|n| (n, n * n));
    /// let squares: HashTrieMap<u64, u64> = squares.collect();
    /// assert_eq!((squares.len(), squares[&7]), (1000, 49));
    /// ```
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        let hasher = S::default();
        let entries = Self::hash_in_parallel(&hasher, entries);
        Self::of_hashed(hasher, entries)
    }
}

impl<K, V, S> ParallelExtend<(K, V)> for HashTrieMap<K, V, S>
where
    K: Clone + Eq + Hash + Send,
    V: Clone + Send,
    S: BuildHasher + Sync,
{
    /// Inserts each entry, as [`Extend`]; keys are hashed in parallel.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use rayon::prelude::*;
    ///
    /// let mut map: HashTrieMap<u64, u64> = HashTrieMap::from([(0, 7), (1000, 7)]);
    /// map.par_extend((0..1000).into_par_iter().map(|n| (n, n)));
    /// assert_eq!((map.len(), map[&0], map[&1000]), (1001, 0, 7));
    /// ```
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        let entries = Self::hash_in_parallel(&self.hasher, entries);
        self.extend_hashed(entries);
    }
}
