//! Operations on whole maps: union, difference, diff, merge, comparison.
//!
//! | file | concept |
//! | --- | --- |
//! | `mod.rs` | the operations |
//! | `lockstep.rs` | the walk over several maps at once, which all of them share |
//! | `spans.rs` | the part of the walk at branches of a shape with spans |
//! | `rules.rs` | the rule of each operation: what becomes of a key, or of a subtree |
//! | `compare.rs`, `change.rs` | comparing keys and values; differences and conflicts |
//! | `equal.rs` | whether two maps are equal |
//! | `membership.rs` | the entries of one map that another map has |

mod change;
mod compare;
pub(super) mod equal;
mod lockstep;
mod membership;
mod rules;
mod spans;

use crate::map::build::{HashedEntry, build_sorted};
use crate::map::heap::CloningHeap;
use crate::map::node::{EntryOf, Slot};
use crate::map::reserve;
use crate::map::trie::Trie;
use alloc::vec::Vec;
use lockstep::{Choice, combine};
use rules::{DiffRule, MergeRule, PerEntry, SetOperation, SetRule, UnionWith, take_if};

pub use change::{Change, Conflict, Diff, HashedChange};
pub use compare::Compare;

/// If one operand has at most this fraction (1/8) of the entries of the other, its entries are
/// looked up or inserted one by one. That is faster than a lockstep walk which visits most leaves.
const ONE_BY_ONE_RATIO: usize = 8;

/// Operations on whole maps. They are O(changes x log n) for maps that share nodes, else O(n). The
/// result shares nodes with the operands where possible. An operation returns the first error of a
/// comparison, of a function that is passed to it, or of the heap.
impl<H: CloningHeap> Trie<H> {
    fn select(
        &self,
        other: &Self,
        operation: SetOperation,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        let roots = [self.root_slot(), other.root_slot()];
        combine(roots, &mut SetRule { operation, compare }).map(Self::from_root)
    }

    /// The entries of both maps. A key in both maps gets the value of `other`; the stored key is that
    /// of this map.
    ///
    /// # Errors
    ///
    /// The first error of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(updated) = ours.updated(&theirs, &mut ByEq);
    /// assert_eq!(entries(&updated), [(1, 1), (2, 4), (3, 9)]);
    /// ```
    pub fn updated(&self, other: &Self, compare: &mut impl Compare<H>) -> Result<Self, H::Error> {
        self.select(other, SetOperation::Update, compare)
    }

    /// The entries of both maps. A key in both maps keeps the value of this map, as in
    /// [`HashTrieMap::union`](crate::HashTrieMap::union).
    ///
    /// # Errors
    ///
    /// The first error of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(union) = ours.union(&theirs, &mut ByEq);
    /// assert_eq!(entries(&union), [(1, 1), (2, 2), (3, 9)]);
    /// ```
    pub fn union(&self, other: &Self, compare: &mut impl Compare<H>) -> Result<Self, H::Error> {
        self.select(other, SetOperation::Union, compare)
    }

    /// The entries of both maps. A key in both maps gets the value that `function` returns for its
    /// two entries. O(n): `function` is called for shared entries too.
    ///
    /// # Errors
    ///
    /// The first error of a comparison, of `function` or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(sums) = ours.union_with(&theirs, &mut ByEq, |a, b| Ok(a.value + b.value));
    /// assert_eq!(entries(&sums), [(1, 1), (2, 6), (3, 9)]);
    /// ```
    pub fn union_with(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
        function: impl FnMut(&EntryOf<H>, &EntryOf<H>) -> Result<H::Value, H::Error>,
    ) -> Result<Self, H::Error> {
        let roots = [self.root_slot(), other.root_slot()];
        combine(roots, &mut UnionWith { compare, function }).map(Self::from_root)
    }

    /// This map with more entries. Of several entries with one key, the last value wins.
    /// O(k log n) for k entries.
    ///
    /// # Errors
    ///
    /// The first error of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 0)]);
    /// let more = [(2, 4), (3, 9)].map(|(key, value)| (hash(key), Entry { key, value }));
    /// let Ok(extended) = squares.extended(&more, &mut ByEq);
    /// assert_eq!(entries(&extended), [(1, 1), (2, 4), (3, 9)]);
    /// ```
    pub fn extended(
        &self,
        entries: &[HashedEntry<H>],
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        if entries.len() > self.len() / ONE_BY_ONE_RATIO {
            let mut added = reserve::with_capacity::<H, HashedEntry<H>>(entries.len())?;
            added.extend_from_slice(entries);
            let added = Self::build(added, |new, stored| compare.same(stored, new))?;
            return self.updated(&added, compare);
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
    /// The first error of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(common) = ours.intersection(&theirs, &mut ByEq);
    /// assert_eq!(entries(&common), [(2, 2)]);
    /// ```
    pub fn intersection(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.select(other, SetOperation::Intersection, compare)
    }

    /// The entries of this map whose keys the other map does not have.
    ///
    /// # Errors
    ///
    /// The first error of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(rest) = ours.difference(&theirs, &mut ByEq);
    /// assert_eq!(entries(&rest), [(1, 1)]);
    /// ```
    pub fn difference(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.select(other, SetOperation::Difference, compare)
    }

    /// The entries with keys that exactly one of the two maps has.
    ///
    /// # Errors
    ///
    /// The first error of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2)]), map([(2, 4), (3, 9)]));
    /// let Ok(either) = ours.symmetric_difference(&theirs, &mut ByEq);
    /// assert_eq!(entries(&either), [(1, 1), (3, 9)]);
    /// ```
    pub fn symmetric_difference(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.select(other, SetOperation::SymmetricDifference, compare)
    }

    /// The changes that turn this map into `other`, in the order of hashes.
    ///
    /// # Errors
    ///
    /// The first error of a comparison.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
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
        let mut rule = DiffRule { compare, found: Vec::new() };
        combine([self.root_slot(), other.root_slot()], &mut rule)?;
        Ok(rule.found)
    }

    /// The [`changes`](Self::changes) that turn this map into `other`, as maps.
    ///
    /// `change` combines the old and the new value of a key into one value.
    ///
    /// # Errors
    ///
    /// The first error of a comparison, of `change` or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
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
        let map = |found: Vec<HashedEntry<H>>| build_sorted(found).map(Self::from_root);
        Ok(Diff { added: map(added)?, removed: map(removed)?, changed: map(changed)? })
    }

    /// A three-way merge: this map, the base, with the changes that led to `ours` and the changes that
    /// led to `theirs`.
    ///
    /// `resolve` is called for each key that both have changed in different ways. It returns the
    /// value to keep, or `None` to remove the key.
    ///
    /// # Errors
    ///
    /// The first error of a comparison, of `resolve` or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
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
        combine(roots, &mut MergeRule { compare, resolve }).map(Self::from_root)
    }

    /// The map with the value that `change` returns for each entry, or without the entry if that is
    /// `None`. O(n).
    ///
    /// # Errors
    ///
    /// The first error of `change` or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(roots) = squares.map_entries(|entry| Ok((entry.key > 1).then_some(entry.key)));
    /// assert_eq!(entries(&roots), [(2, 2), (3, 3)]);
    /// ```
    pub fn map_entries(
        &self,
        mut change: impl FnMut(&EntryOf<H>) -> Result<Option<H::Value>, H::Error>,
    ) -> Result<Self, H::Error> {
        let mut each = PerEntry(|entry: &EntryOf<H>| {
            Ok(match change(entry)? {
                None => Choice::Drop,
                Some(value) if H::is_identical(&entry.value, &value) => Choice::Take(0),
                Some(value) => Choice::Make(EntryOf::<H> { key: entry.key.clone(), value }),
            })
        });
        combine([self.root_slot()], &mut each).map(Self::from_root)
    }

    /// The entries for which `predicate` is true. O(n); subtrees that are kept whole are shared.
    ///
    /// # Errors
    ///
    /// The first error of `predicate` or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Ok(odd) = squares.filter(|entry| Ok(entry.value % 2 == 1));
    /// assert_eq!(entries(&odd), [(1, 1), (3, 9)]);
    /// let Ok(all) = squares.filter(|_| Ok(true));
    /// assert!(all.ptr_eq(&squares));
    /// ```
    pub fn filter(
        &self,
        mut predicate: impl FnMut(&EntryOf<H>) -> Result<bool, H::Error>,
    ) -> Result<Self, H::Error> {
        let mut each = PerEntry(|entry: &EntryOf<H>| Ok(take_if(predicate(entry)?, 0)));
        combine([self.root_slot()], &mut each).map(Self::from_root)
    }
}
