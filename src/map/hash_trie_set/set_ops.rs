//! Operations on whole sets. Results share nodes with their operands.

use super::HashTrieSet;
use crate::map::combine::Change;
use crate::map::hash_trie_map::KeysAndValues;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use core::ops::{BitAnd, BitOr, BitXor, Sub};

/// The difference between two sets: the result of [`HashTrieSet::diff`].
///
/// ```
/// use ctxvars::HashTrieSet;
/// use ctxvars::hash_trie_set::Diff;
///
/// let before = HashTrieSet::from(["tea"]);
/// let after = before.update("milk");
/// let Diff { added, removed } = before.diff(&after);
/// assert_eq!((added, removed.len()), (vec![&"milk"], 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff<'a, T> {
    /// The items of the second set only.
    pub added: Vec<&'a T>,
    /// The items of the first set only.
    pub removed: Vec<&'a T>,
}

impl<T: Clone + Eq + Hash, S: BuildHasher> HashTrieSet<T, S> {
    /// The items of both sets. An item of both sets is the one of this set.
    ///
    /// O(k log n) if one set was derived from the other by k changes, or both from a third set; else
    /// O(n).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let (a, b) = (HashTrieSet::from([1, 2]), HashTrieSet::from([2, 3]));
    /// assert_eq!(a.union(&b), HashTrieSet::from([1, 2, 3]));
    /// ```
    #[must_use = "the set itself does not change"]
    pub fn union(&self, other: &Self) -> Self
    where
        S: Clone,
    {
        Self { map: self.map.union(&other.map) }
    }

    /// The items of this set that the other set has too. Same cost as [`union`](Self::union).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let (a, b) = (HashTrieSet::from([1, 2]), HashTrieSet::from([2, 3]));
    /// assert_eq!(a.intersection(&b), HashTrieSet::from([2]));
    /// ```
    #[must_use = "the set itself does not change"]
    pub fn intersection(&self, other: &Self) -> Self
    where
        S: Clone,
    {
        Self { map: self.map.intersection(&other.map) }
    }

    /// The items of this set that the other set does not have. Same cost as [`union`](Self::union).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let (a, b) = (HashTrieSet::from([1, 2]), HashTrieSet::from([2, 3]));
    /// assert_eq!(a.difference(&b), HashTrieSet::from([1]));
    /// ```
    #[must_use = "the set itself does not change"]
    pub fn difference(&self, other: &Self) -> Self
    where
        S: Clone,
    {
        Self { map: self.map.difference(&other.map) }
    }

    /// The items that exactly one of the sets has. Same cost as [`union`](Self::union).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let (a, b) = (HashTrieSet::from([1, 2]), HashTrieSet::from([2, 3]));
    /// assert_eq!(a.symmetric_difference(&b), HashTrieSet::from([1, 3]));
    /// ```
    #[must_use = "the set itself does not change"]
    pub fn symmetric_difference(&self, other: &Self) -> Self
    where
        S: Clone,
    {
        Self { map: self.map.symmetric_difference(&other.map) }
    }

    /// Whether the other set has all items of this set. Same cost as [`union`](Self::union), but the
    /// walk ends at the first missing item.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let set = HashTrieSet::from([1, 2]);
    /// assert!(set.is_subset(&set.update(3)));
    /// assert!(!set.is_subset(&set.without(&2)));
    /// ```
    pub fn is_subset(&self, other: &Self) -> bool {
        if self.map.has_same_hasher(&other.map) {
            let Ok(is_subset) = self.map.trie.is_subset(&other.map.trie, &mut KeysAndValues);
            return is_subset;
        }
        self.map.is_submap(&other.map)
    }

    /// Whether this set has all items of the other set: see [`is_subset`](Self::is_subset).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let set = HashTrieSet::from([1, 2]);
    /// assert!(set.is_superset(&HashTrieSet::from([2])));
    /// ```
    pub fn is_superset(&self, other: &Self) -> bool {
        other.is_subset(self)
    }

    /// Whether the sets have no common item. Same cost as [`union`](Self::union), but the walk ends at
    /// the first common item.
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let set = HashTrieSet::from([1, 2]);
    /// assert!(set.is_disjoint(&HashTrieSet::from([3])));
    /// assert!(!set.is_disjoint(&HashTrieSet::from([2, 3])));
    /// ```
    pub fn is_disjoint(&self, other: &Self) -> bool {
        if self.map.has_same_hasher(&other.map) {
            let Ok(is_disjoint) = self.map.trie.is_disjoint(&other.map.trie, &mut KeysAndValues);
            return is_disjoint;
        }
        let (small, large) = if self.len() < other.len() { (self, other) } else { (other, self) };
        small.iter().all(|item| !large.contains(item))
    }

    /// The items that turn this set into `other`, in an unspecified order. Same cost as
    /// [`union`](Self::union).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let before: HashTrieSet<u32> = (0..100_000).collect();
    /// let after = before.without(&5);
    /// assert_eq!(before.diff(&after).removed, [&5]);
    /// ```
    pub fn diff<'a>(&'a self, other: &'a Self) -> Diff<'a, T> {
        let mut diff = Diff { added: Vec::new(), removed: Vec::new() };
        for change in self.map.diff(&other.map) {
            match change {
                Change::Added { key, .. } => diff.added.push(key),
                Change::Removed { key, .. } => diff.removed.push(key),
                Change::Changed { .. } => unreachable!("all values are equal"),
            }
        }
        diff
    }

    /// A three-way merge: this set, the base, with the changes that led to `ours` and the changes that
    /// led to `theirs`. Changes of one item cannot differ. Same cost as [`union`](Self::union).
    ///
    /// ```
    /// use ctxvars::HashTrieSet;
    ///
    /// let base = HashTrieSet::from([1, 2]);
    /// let merged = base.merge(&base.update(3), &base.without(&1));
    /// assert_eq!(merged, HashTrieSet::from([2, 3]));
    /// ```
    #[must_use = "the set itself does not change"]
    pub fn merge(&self, ours: &Self, theirs: &Self) -> Self
    where
        S: Clone,
    {
        let map = self.map.merge(&ours.map, &theirs.map, |conflict| conflict.ours.copied());
        Self { map }
    }
}

/// Implements an operator for references to sets.
macro_rules! operator {
    ($trait:ident, $function:ident, $method:ident, $sign:literal, $result:literal) => {
        impl<T: Clone + Eq + Hash, S: BuildHasher + Clone> $trait<&HashTrieSet<T, S>>
            for &HashTrieSet<T, S>
        {
            type Output = HashTrieSet<T, S>;

            #[doc = concat!("[`", stringify!($method), "`](HashTrieSet::", stringify!($method), ").")]
            ///
            /// ```
            /// use ctxvars::HashTrieSet;
            ///
            /// let (a, b) = (HashTrieSet::from([1, 2]), HashTrieSet::from([2, 3]));
            #[doc = concat!("assert_eq!(&a ", $sign, " &b, HashTrieSet::from(", $result, "));")]
            /// ```
            fn $function(self, other: &HashTrieSet<T, S>) -> HashTrieSet<T, S> {
                self.$method(other)
            }
        }
    };
}

operator!(BitOr, bitor, union, "|", "[1, 2, 3]");
operator!(BitAnd, bitand, intersection, "&", "[2]");
operator!(Sub, sub, difference, "-", "[1]");
operator!(BitXor, bitxor, symmetric_difference, "^", "[1, 3]");
