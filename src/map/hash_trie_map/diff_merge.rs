//! The difference between two maps, and the merge of two descendants of one map.

use super::{HashTrieMap, KeysAndValues};
use crate::map::combine::Change;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};

/// A key that two descendants of one map have changed in different ways: the argument of the function
/// that resolves conflicts in [`HashTrieMap::merge`].
///
/// ```
/// use ctxvars::hash_trie_map::{Conflict, HashTrieMap};
///
/// let base = HashTrieMap::from([("visits", 10)]);
/// let (ours, theirs) = (base.update("visits", 12), base.update("visits", 13));
/// let both = |Conflict { base, ours, theirs, .. }: Conflict<'_, &str, i32>| {
///     Some(ours? + theirs? - base?)
/// };
/// assert_eq!(base.merge(&ours, &theirs, both)["visits"], 15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// The value in the base, or `None` if the base does not have the key.
    pub base: Option<&'a V>,
    /// The value in the first descendant, or `None` if it does not have the key.
    pub ours: Option<&'a V>,
    /// The value in the second descendant, or `None` if it does not have the key.
    pub theirs: Option<&'a V>,
}

impl<K, V, S> HashTrieMap<K, V, S>
where
    K: Clone + Eq + Hash,
    V: Clone,
    S: BuildHasher,
{
    /// The changes that turn this map into `other`, in an unspecified order.
    ///
    /// O(k log n) for k changes if one map was derived from the other, or both from a third map: nodes
    /// that the maps share are skipped. Else O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    /// use ctxvars::hash_trie_map::Change;
    ///
    /// let before: HashTrieMap<_, _> = (0..100_000).map(|n| (n, "old")).collect();
    /// let after = before.update(5, "new");
    /// assert_eq!(before.diff(&after), [Change::Changed { key: &5, old: &"old", new: &"new" }]);
    /// ```
    pub fn diff<'a>(&'a self, other: &'a Self) -> Vec<Change<'a, K, V>>
    where
        V: PartialEq,
    {
        if self.has_same_hasher(other) {
            let Ok(changes) = self.trie.changes(&other.trie, &mut KeysAndValues);
            return changes.into_iter().map(|(_, change)| change).collect();
        }
        let kept = self.iter().filter_map(|(key, old)| match other.get(key) {
            None => Some(Change::Removed { key, value: old }),
            Some(new) if new != old => Some(Change::Changed { key, old, new }),
            Some(_) => None,
        });
        let added = other.iter().filter(|(key, _)| !self.contains_key(*key));
        kept.chain(added.map(|(key, value)| Change::Added { key, value })).collect()
    }

    /// A three-way merge: this map, the base, with the changes that led to `ours` and the changes that
    /// led to `theirs`.
    ///
    /// `resolve` is called for each key that both have changed in different ways. It returns the
    /// value to keep, or `None` to remove the key. Same cost as [`diff`](Self::diff).
    ///
    /// ```
    /// use ctxvars::HashTrieMap;
    ///
    /// let base = HashTrieMap::from([("a", 1), ("b", 1)]);
    /// let ours = base.update("a", 2).update("c", 3);
    /// let theirs = base.update("a", 5).without("b");
    /// let merged = base.merge(&ours, &theirs, |conflict| conflict.ours.max(conflict.theirs).copied());
    /// assert_eq!(merged, HashTrieMap::from([("a", 5), ("c", 3)]));
    /// ```
    #[must_use = "the map itself does not change"]
    pub fn merge(
        &self,
        ours: &Self,
        theirs: &Self,
        mut resolve: impl FnMut(Conflict<'_, K, V>) -> Option<V>,
    ) -> Self
    where
        V: PartialEq,
        S: Clone,
    {
        let hashing = if ours.is_empty() { theirs } else { ours };
        let [base, ours, theirs] = [self, ours, theirs].map(|map| hashing.aligned(map));
        let Ok(merged) = base.merge(&ours, &theirs, &mut KeysAndValues, |entries| {
            let [base, ours, theirs] = entries.map(|entry| entry.map(|entry| &entry.value));
            let key = entries.into_iter().flatten().next().map(|entry| &entry.key);
            Ok(key.and_then(|key| resolve(Conflict { key, base, ours, theirs })))
        });
        hashing.derived(merged)
    }
}
