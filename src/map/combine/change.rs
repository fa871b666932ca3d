//! A difference between two maps, and a conflict between two changes of one map.

use crate::map::heap::Heap;
use crate::map::levels::HashOf;
use crate::map::node::EntryOf;
use crate::map::trie::Trie;

/// One difference between two maps.
///
/// ```
/// use ctxvars::HashTrieMap;
/// use ctxvars::hash_trie_map::Change;
///
/// let before: HashTrieMap<&str, u32> = HashTrieMap::from([("tea", 1)]);
/// let after = before.without("tea").update("milk", 2);
/// let lines = before.diff(&after).into_iter().map(|change| match change {
///     Change::Added { key, value } => format!("+ {key}: {value}"),
///     Change::Removed { key, value } => format!("- {key}: {value}"),
///     Change::Changed { key, old, new } => format!("~ {key}: {old} to {new}"),
/// });
/// let mut lines: Vec<String> = lines.collect();
/// lines.sort();
/// assert_eq!(lines, ["+ milk: 2", "- tea: 1"]);
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum Change<'a, K, V> {
    /// Only the second map has the key.
    Added {
        /// The key.
        key: &'a K,
        /// Its value.
        value: &'a V,
    },
    /// Only the first map has the key.
    Removed {
        /// The key.
        key: &'a K,
        /// Its value.
        value: &'a V,
    },
    /// Both maps have the key, with different values.
    Changed {
        /// The key, as stored in the first map.
        key: &'a K,
        /// The value in the first map.
        old: &'a V,
        /// The value in the second map.
        new: &'a V,
    },
}

impl<K, V> Clone for Change<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Change<'_, K, V> {}

/// A difference between two maps of one heap, with the hash of its key.
///
/// See [`Trie::changes`] for an example.
pub type HashedChange<'a, H> = (HashOf<H>, Change<'a, <H as Heap>::Key, <H as Heap>::Value>);

/// The differences between two maps, as maps.
///
/// See [`Trie::diff`] for an example.
pub struct Diff<H: Heap> {
    /// The entries with keys that only the second map has.
    pub added: Trie<H>,
    /// The entries with keys that only the first map has.
    pub removed: Trie<H>,
    /// The keys whose values differ, with the values that the function of [`Trie::diff`] returned.
    pub changed: Trie<H>,
}

/// A key that two descendants of one map have changed in different ways: its entries in the base, in
/// `ours` and in `theirs`.
///
/// See [`Trie::merge`] for an example.
pub type Conflict<'a, H> = [Option<&'a EntryOf<H>>; 3];
