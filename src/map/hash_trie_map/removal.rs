//! Removing many entries: `retain`, `extract_if`, `drain`.

use super::HashTrieMap;
use super::iter::IntoIter;
use crate::map::build::{HashedEntry, build_sorted};
use crate::map::heap::arc::ArcHeap;
use crate::map::into_iter::IntoEntries;
use crate::map::trie::Trie;
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem;

impl<K: Clone, V: Clone, S> HashTrieMap<K, V, S> {
    /// Removes the entries for which `predicate` is false. It may change the values. O(n).
    ///
    /// `predicate` may change each value, so nodes that another map shares are copied first, with
    /// clones of their entries. Entries of unshared nodes are not cloned. If all entries stay, nothing
    /// moves. For a map that shares nodes, use [`filter`](Self::filter), which keeps sharing them.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<u32, u32> = (0..10).map(|n| (n, n)).collect();
    /// map.retain(|key, value| {
    ///     *value *= 10;
    ///     key % 2 == 0
    /// });
    /// assert_eq!((map.len(), map[&4]), (5, 40));
    /// ```
    pub fn retain(&mut self, mut predicate: impl FnMut(&K, &mut V) -> bool) {
        let is_kept: Vec<bool> =
            self.iter_mut().map(|(key, value)| predicate(key, value)).collect();
        if is_kept.iter().all(|&is_kept| is_kept) {
            return;
        }
        let entries = mem::take(&mut self.trie).into_entries().zip(is_kept);
        let (kept, removed): (Vec<_>, Vec<_>) = entries.partition(|(_, is_kept)| *is_kept);
        let Ok(root) = build_sorted(kept.into_iter().map(|(entry, _)| entry).collect());
        self.trie = Trie::from_root(root);
        // Destructors run when the map is complete again.
        drop(removed);
    }

    /// Removes the entries for which `predicate` is true, and iterates over them. O(n).
    ///
    /// The iterator calls `predicate` when it gets to an entry. If it is dropped earlier, the map
    /// keeps the rest; if it is leaked, the map stays empty. `predicate` may change the values that
    /// stay, so nodes that another map shares are copied first, as by [`retain`](Self::retain).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map: HashTrieMap<u32, u32> = (0..10).map(|n| (n, n)).collect();
    /// let even: HashTrieMap<u32, u32> = map.extract_if(|key, _| key % 2 == 0).collect();
    /// assert_eq!((even.len(), map.len()), (5, 5));
    /// assert!(map.keys().all(|key| key % 2 == 1));
    /// ```
    pub fn extract_if<F>(&mut self, predicate: F) -> ExtractIf<'_, K, V, F>
    where
        F: FnMut(&K, &mut V) -> bool,
    {
        // Copies shared nodes. Moving entries back then clones none, and so cannot panic.
        let _ = self.trie.iter_mut();
        let rest = mem::take(&mut self.trie).into_entries();
        ExtractIf { trie: &mut self.trie, rest, kept: Vec::new(), predicate }
    }

    /// Removes all entries, and iterates over them. O(n).
    ///
    /// The map is empty at once. Entries of nodes that another map shares are cloned, others are
    /// moved.
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let mut map = HashTrieMap::from([("a", 1), ("b", 2)]);
    /// assert_eq!(map.drain().map(|(_, value)| value).sum::<i32>(), 3);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&mut self) -> Drain<'_, K, V> {
        let entries = IntoIter(mem::take(&mut self.trie).into_entries());
        Drain { entries, _map: PhantomData }
    }
}

/// The entries that [`HashTrieMap::extract_if`] removes.
///
/// ```
/// use ctxvars::HashTrieMap;
///
/// let mut map: HashTrieMap<u32, &str> = HashTrieMap::from([(1, "a"), (2, "b"), (3, "c")]);
/// assert!(map.extract_if(|_, _| true).next().is_some()); // and the iterator is dropped
/// assert_eq!(map.len(), 2);
/// ```
#[must_use = "entries are removed as the iterator gets to them"]
pub struct ExtractIf<'a, K: Clone, V: Clone, F> {
    trie: &'a mut Trie<ArcHeap<K, V>>,
    rest: IntoEntries<ArcHeap<K, V>>,
    /// The entries so far that stay, in the order of their hashes.
    kept: Vec<HashedEntry<ArcHeap<K, V>>>,
    predicate: F,
}

impl<K, V, F> Iterator for ExtractIf<'_, K, V, F>
where
    K: Clone,
    V: Clone,
    F: FnMut(&K, &mut V) -> bool,
{
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        for entry in self.rest.by_ref() {
            // If the predicate panics, the entry has been kept.
            self.kept.push(entry);
            let (_, entry) = self.kept.last_mut()?;
            if (self.predicate)(&entry.key, &mut entry.value) {
                return self.kept.pop().map(|(_, entry)| (entry.key, entry.value));
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.rest.len()))
    }
}

impl<K, V, F> FusedIterator for ExtractIf<'_, K, V, F>
where
    K: Clone,
    V: Clone,
    F: FnMut(&K, &mut V) -> bool,
{
}

impl<K: Clone, V: Clone, F> Drop for ExtractIf<'_, K, V, F> {
    fn drop(&mut self) {
        let mut entries = mem::take(&mut self.kept);
        entries.extend(&mut self.rest);
        let Ok(root) = build_sorted(entries);
        *self.trie = Trie::from_root(root);
    }
}

impl<K: Clone, V: Clone, F> fmt::Debug for ExtractIf<'_, K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}

/// The entries of a map that [`HashTrieMap::drain`] has emptied.
///
/// ```
/// use ctxvars::hash_trie_map::{Drain, HashTrieMap};
///
/// let mut map = HashTrieMap::from([("a", 1)]);
/// let mut entries: Drain<'_, &str, i32> = map.drain();
/// assert_eq!((entries.len(), entries.next()), (1, Some(("a", 1))));
/// ```
pub struct Drain<'a, K, V> {
    entries: IntoIter<K, V>,
    /// The map is borrowed, as a map of the standard library is while it is drained.
    _map: PhantomData<&'a mut (K, V)>,
}

impl<K: Clone, V: Clone> Iterator for Drain<'_, K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl<K: Clone, V: Clone> ExactSizeIterator for Drain<'_, K, V> {}

impl<K: Clone, V: Clone> FusedIterator for Drain<'_, K, V> {}

impl<K: fmt::Debug, V> Drain<'_, K, V> {
    /// Writes the keys that are left, for sets.
    pub(in crate::map) fn fmt_keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.fmt_keys(f)
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Drain<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.fmt(f)
    }
}
