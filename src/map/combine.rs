//! Operations on whole maps: union, diff, merge …

use super::build::{Hashed, build_sorted};
use super::heap::Heap;
use super::levels::HashOf;
use super::lockstep::{Choice, combine};
use super::node::{EntryOf, Slot};
use super::reserve;
use super::rules::{Differences, Each, Keep, Merge, Select, Unite, take_if};
use super::trie::Trie;
use alloc::vec::Vec;

/// A map gets fewer entries than this part of its own one by one. Each then costs a walk from the
/// root, which is faster than walking two maps in lockstep until they meet in most leaves.
pub(super) const FEW: usize = 8;

/// What user code may do with keys and values: compare them.
///
/// ```
/// use ctxvars::map::{ArcHeap, Compare, Trie};
/// use std::convert::Infallible;
///
/// /// Compares keys and values by `==`.
/// struct ByEq;
///
/// impl<K: Clone + Eq, V: Clone + PartialEq> Compare<ArcHeap<K, V>> for ByEq {
///     fn same(&mut self, a: &K, b: &K) -> Result<bool, Infallible> {
///         Ok(a == b)
///     }
///
///     fn equal(&mut self, a: &V, b: &V) -> Result<bool, Infallible> {
///         Ok(a == b)
///     }
/// }
///
/// let empty = Trie::<ArcHeap<&str, u32>>::new();
/// assert_eq!(empty.equal(&Trie::new(), &mut ByEq), Ok(true));
/// ```
pub trait Compare<H: Heap> {
    /// Whether two keys with one hash are the same.
    ///
    /// # Errors
    ///
    /// Whatever comparing keys may raise.
    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error>;

    /// Whether two values of one key are equal.
    ///
    /// # Errors
    ///
    /// Whatever comparing values may raise.
    fn equal(&mut self, a: &H::Value, b: &H::Value) -> Result<bool, H::Error>;
}

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
        /// The key, as the first map has it.
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

/// What differs between two maps, as maps.
///
/// See [`Trie::diff`] for an example.
pub struct Diff<H: Heap> {
    /// What only the second map has.
    pub added: Trie<H>,
    /// What only the first map has.
    pub removed: Trie<H>,
    /// The keys whose values differ, as `changed` of [`Trie::diff`] made them.
    pub changed: Trie<H>,
}

/// What two descendants of one map have made of a key in different ways: what is now in the base,
/// in ours and in theirs.
///
/// See [`Trie::merge`] for an example.
pub type Conflict<'a, H> = [Option<&'a EntryOf<H>>; 3];

/// Whole-map operations: O(changes x log n) between maps that share nodes, else O(n). Each shares
/// what it can with its arguments, and fails with the first error of a comparison, of a function
/// that it is given, or of the heap.
impl<H: Heap> Trie<H> {
    fn select(
        &self,
        other: &Self,
        keep: Keep,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        let roots = [self.root_slot(), other.root_slot()];
        combine(roots, &mut Select { keep, compare }).map(Self::from_root)
    }

    /// The entries of both maps; where both have a key, it is that of this map and the value that
    /// of the other.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(union) = ours.union(&theirs, &mut ByEq);
    /// assert_eq!(entries(&union), [(1, 1), (2, 4), (3, 9)]);
    /// ```
    pub fn union(&self, other: &Self, compare: &mut impl Compare<H>) -> Result<Self, H::Error> {
        self.select(other, Keep::Union, compare)
    }

    /// The entries of both maps; where both have a key, that of this map.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(union) = ours.union_of_first(&theirs, &mut ByEq);
    /// assert_eq!(entries(&union), [(1, 1), (2, 2), (3, 9)]);
    /// ```
    pub fn union_of_first(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.select(other, Keep::UnionOfFirst, compare)
    }

    /// The entries of both maps; where both have a key, that of this map and what `unite` makes
    /// of the two entries. O(n): `unite` sees shared entries too.
    ///
    /// # Errors
    ///
    /// The first one of a comparison, of `unite` or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(sums) = ours.union_with(&theirs, &mut ByEq, |a, b| Ok(a.value + b.value));
    /// assert_eq!(entries(&sums), [(1, 1), (2, 6), (3, 9)]);
    /// ```
    pub fn union_with(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
        unite: impl FnMut(&EntryOf<H>, &EntryOf<H>) -> Result<H::Value, H::Error>,
    ) -> Result<Self, H::Error> {
        let roots = [self.root_slot(), other.root_slot()];
        combine(roots, &mut Unite { compare, unite }).map(Self::from_root)
    }

    /// This map with these entries; of those with one key, the last value. O(k log n) for k of
    /// them.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let squares = map([(1, 1), (2, 0)]);
    /// let more = [(2, 4), (3, 9)].map(|(key, value)| (hash(key), Entry { key, value }));
    /// let Ok(extended) = squares.extended(&more, &mut ByEq);
    /// assert_eq!(entries(&extended), [(1, 1), (2, 4), (3, 9)]);
    /// ```
    pub fn extended(
        &self,
        entries: &[Hashed<H>],
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        if entries.len() > self.len() / FEW {
            let mut added = reserve::with_capacity::<H, Hashed<H>>(entries.len())?;
            added.extend_from_slice(entries);
            let added = Self::build(added, |new, stored| compare.same(stored, new))?;
            return self.union(&added, compare);
        }
        let mut extended = self.clone();
        for (hash, EntryOf::<H> { key, value }) in entries.iter().cloned() {
            extended.insert(hash, key, value, |new, stored| compare.same(stored, new))?;
        }
        Ok(extended)
    }

    /// The entries of this map whose keys the other map has.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(common) = ours.intersection(&theirs, &mut ByEq);
    /// assert_eq!(entries(&common), [(2, 2)]);
    /// ```
    pub fn intersection(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.select(other, Keep::Intersection, compare)
    }

    /// The entries of this map whose keys the other map does not have.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(rest) = ours.difference(&theirs, &mut ByEq);
    /// assert_eq!(entries(&rest), [(1, 1)]);
    /// ```
    pub fn difference(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.select(other, Keep::Difference, compare)
    }

    /// The entries whose keys only one of the two maps has.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(either) = ours.symmetric_difference(&theirs, &mut ByEq);
    /// assert_eq!(entries(&either), [(1, 1), (3, 9)]);
    /// ```
    pub fn symmetric_difference(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.select(other, Keep::SymmetricDifference, compare)
    }

    /// What has to be done to this map to make it equal to `other`, in the order of hashes.
    ///
    /// # Errors
    ///
    /// The first one of a comparison.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use ctxvars::map::{Change, HashedChange};
    ///
    /// let (before, after) = (map([(1, 1), (2, 2)]), map([(1, 1), (2, 4)]));
    /// let Ok(changes) = before.changes(&after, &mut ByEq);
    /// let two: HashedChange<Numbers> = (hash(2), Change::Changed { key: &2, old: &2, new: &4 });
    /// assert_eq!(changes, [two]);
    /// ```
    pub fn changes<'a>(
        &'a self,
        other: &'a Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Vec<HashedChange<'a, H>>, H::Error> {
        let mut rule = Differences { compare, found: Vec::new() };
        combine([self.root_slot(), other.root_slot()], &mut rule)?;
        Ok(rule.found)
    }

    /// The [`changes`](Self::changes) that lead to `other`, as maps.
    ///
    /// `change` makes one value of the old and the new one of a key.
    ///
    /// # Errors
    ///
    /// The first one of a comparison, of `change` or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use ctxvars::map::Diff;
    ///
    /// let (before, after) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(diff) = before.diff(&after, &mut ByEq, |old, new| Ok(new - old));
    /// let Diff { added, removed, changed } = diff;
    /// assert_eq!((entries(&added), entries(&removed)), (vec![(3, 9)], vec![(1, 1)]));
    /// assert_eq!(entries(&changed), [(2, 2)]);
    /// ```
    pub fn diff(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
        mut change: impl FnMut(&H::Value, &H::Value) -> Result<H::Value, H::Error>,
    ) -> Result<Diff<H>, H::Error> {
        let (mut added, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for (hash, difference) in self.changes(other, compare)? {
            let (list, key, value) = match difference {
                Change::Added { key, value } => (&mut added, key, value.clone()),
                Change::Removed { key, value } => (&mut removed, key, value.clone()),
                Change::Changed { key, old, new } => (&mut changed, key, change(old, new)?),
            };
            reserve::push::<H, _>(list, (hash, EntryOf::<H> { key: key.clone(), value }))?;
        }
        let map = |found: Vec<Hashed<H>>| build_sorted(found).map(Self::from_root);
        Ok(Diff { added: map(added)?, removed: map(removed)?, changed: map(changed)? })
    }

    /// This map, the base, with the changes that led to `ours` and those that led to `theirs`.
    ///
    /// What both have changed in different ways is put to `resolve`, which returns the value to
    /// keep, or `None` to leave the key out.
    ///
    /// # Errors
    ///
    /// The first one of a comparison, of `resolve` or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use ctxvars::map::Conflict;
    ///
    /// let base = map([(1, 0), (2, 0)]);
    /// let (ours, theirs) = (map([(1, 1), (2, 1)]), map([(1, 0), (2, 4), (3, 9)]));
    /// let greater = |[_base, ours, theirs]: Conflict<'_, Numbers>| {
    ///     Ok(ours.map(|entry| entry.value).max(theirs.map(|entry| entry.value)))
    /// };
    /// let Ok(merged) = base.merge(&ours, &theirs, &mut ByEq, greater);
    /// assert_eq!(entries(&merged), [(1, 1), (2, 4), (3, 9)]);
    /// ```
    pub fn merge(
        &self,
        ours: &Self,
        theirs: &Self,
        compare: &mut impl Compare<H>,
        resolve: impl FnMut(Conflict<'_, H>) -> Result<Option<H::Value>, H::Error>,
    ) -> Result<Self, H::Error> {
        let roots: [&Slot<H>; 3] = [self.root_slot(), ours.root_slot(), theirs.root_slot()];
        combine(roots, &mut Merge { compare, resolve }).map(Self::from_root)
    }

    /// The map with what `change` returns for each entry: its value, `None` to drop the entry.
    ///
    /// # Errors
    ///
    /// The first one of `change` or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(roots) = squares.map_entries(|entry| Ok((entry.key > 1).then_some(entry.key)));
    /// assert_eq!(entries(&roots), [(2, 2), (3, 3)]);
    /// ```
    pub fn map_entries(
        &self,
        mut change: impl FnMut(&EntryOf<H>) -> Result<Option<H::Value>, H::Error>,
    ) -> Result<Self, H::Error> {
        let mut each = Each(|entry: &EntryOf<H>| {
            Ok(match change(entry)? {
                None => Choice::Drop,
                Some(value) if H::is_identical(&entry.value, &value) => Choice::Take(0),
                Some(value) => Choice::Make(EntryOf::<H> { key: entry.key.clone(), value }),
            })
        });
        combine([self.root_slot()], &mut each).map(Self::from_root)
    }

    /// The entries for which `is_kept` is true. O(n); what is kept whole is shared.
    ///
    /// # Errors
    ///
    /// The first one of `is_kept` or of the heap.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(odd) = squares.filter(|entry| Ok(entry.value % 2 == 1));
    /// assert_eq!(entries(&odd), [(1, 1), (3, 9)]);
    /// let Ok(all) = squares.filter(|_| Ok(true));
    /// assert!(all.ptr_eq(&squares));
    /// ```
    pub fn filter(
        &self,
        mut is_kept: impl FnMut(&EntryOf<H>) -> Result<bool, H::Error>,
    ) -> Result<Self, H::Error> {
        let mut each = Each(|entry: &EntryOf<H>| Ok(take_if(is_kept(entry)?, 0)));
        combine([self.root_slot()], &mut each).map(Self::from_root)
    }
}
