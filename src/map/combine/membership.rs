//! The entries of one map that another map has, as for sets of entries.

use super::ONE_BY_ONE_RATIO;
use super::compare::Compare;
use super::lockstep::combine;
use super::rules::{FindMatch, MatchRule};
use crate::map::build::{HashedEntry, build_sorted};
use crate::map::heap::CloningHeap;
use crate::map::levels::HashOf;
use crate::map::node::EntryOf;
use crate::map::reserve;
use crate::map::search::KeyProbe;
use crate::map::trie::Trie;

/// Maps as sets of entries. The operations are O(changes x log n) for maps that share nodes,
/// O(k log n) for k entries and a much larger map, else O(n).
impl<H: CloningHeap> Trie<H> {
    /// The entries of this map that the other map has too: the same keys with equal values.
    ///
    /// # Errors
    ///
    /// The first error of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2), (3, 9)]), map([(2, 4), (3, 9)]));
    /// let Ok(common) = ours.entries_in(&theirs, &mut ByEq);
    /// assert_eq!(entries(&common), [(3, 9)]);
    /// ```
    pub fn entries_in(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.matches(other, compare, true)
    }

    /// The entries of this map that the other map does not have, or has with another value.
    ///
    /// # Errors
    ///
    /// The first error of a comparison or of the heap.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (ours, theirs) = (map([(1, 1), (2, 2), (3, 9)]), map([(2, 4), (3, 9)]));
    /// let Ok(rest) = ours.entries_not_in(&theirs, &mut ByEq);
    /// assert_eq!(entries(&rest), [(1, 1), (2, 2)]);
    /// ```
    pub fn entries_not_in(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.matches(other, compare, false)
    }

    /// Whether the other map has all entries of this map. The walk ends at the first missing entry.
    ///
    /// # Errors
    ///
    /// The first error of a comparison.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let (squares, more) = (map([(1, 1), (2, 4)]), map([(1, 1), (2, 4), (3, 9)]));
    /// assert_eq!(squares.is_subset(&more, &mut ByEq), Ok(true));
    /// assert_eq!(squares.is_subset(&map([(1, 1), (2, 2)]), &mut ByEq), Ok(false));
    /// ```
    pub fn is_subset(&self, other: &Self, compare: &mut impl Compare<H>) -> Result<bool, H::Error> {
        Ok(self.len() <= other.len() && !self.finds(other, compare, false)?)
    }

    /// Whether the two maps have no common entry. The walk ends at the first common entry.
    ///
    /// # Errors
    ///
    /// The first error of a comparison.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4)]);
    /// assert_eq!(squares.is_disjoint(&map([(2, 2), (3, 9)]), &mut ByEq), Ok(true));
    /// assert_eq!(squares.is_disjoint(&map([(2, 4), (3, 9)]), &mut ByEq), Ok(false));
    /// ```
    pub fn is_disjoint(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<bool, H::Error> {
        Ok(!self.finds(other, compare, true)?)
    }

    /// The entries that match, or those that do not.
    fn matches(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
        matched: bool,
    ) -> Result<Self, H::Error> {
        let mut rule = MatchRule { compare, matched };
        if self.len() <= other.len() / ONE_BY_ONE_RATIO {
            let mut found = reserve::with_capacity::<H, HashedEntry<H>>(self.len())?;
            self.look_up(other, &mut rule, |hash, entry| {
                found.push((hash, entry.clone()));
                true
            })?;
            return if found.len() == self.len() {
                Ok(self.clone())
            } else {
                build_sorted(found).map(Self::from_root)
            };
        }
        combine([self.root_slot(), other.root_slot()], &mut rule).map(Self::from_root)
    }

    /// Whether there is an entry that matches, or one that does not.
    fn finds(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
        matched: bool,
    ) -> Result<bool, H::Error> {
        let mut find = FindMatch { rule: MatchRule { compare, matched }, found: false };
        if self.len() <= other.len() / ONE_BY_ONE_RATIO {
            let FindMatch { rule, found } = &mut find;
            self.look_up(other, rule, |_, _| {
                *found = true;
                false
            })?;
        } else {
            combine([self.root_slot(), other.root_slot()], &mut find)?;
        }
        Ok(find.found)
    }

    /// Calls `each` with the entries that the rule takes, until it returns false. It looks up each
    /// entry in the other map, so it is for small maps.
    fn look_up<C: Compare<H>>(
        &self,
        other: &Self,
        rule: &mut MatchRule<'_, C>,
        mut each: impl FnMut(HashOf<H>, &EntryOf<H>) -> bool,
    ) -> Result<(), H::Error> {
        for (hash, entry) in self {
            let same = |key: &H::Key, stored: &H::Key| rule.compare.same(key, stored);
            let there = other.get(hash, KeyProbe::<H, _> { key: &entry.key, same })?;
            if rule.takes::<H>(entry, there)? && !each(hash, entry) {
                break;
            }
        }
        Ok(())
    }
}
