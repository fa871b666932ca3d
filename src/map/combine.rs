//! What can be made of one map, of two or of three: the rules for [`lockstep`](super::lockstep).

use super::build::{Hashed, build_sorted};
use super::hash::Hash;
use super::heap::Heap;
use super::lockstep::{Choice, Rule, combine};
use super::node::{EntryOf, Slot};
use super::trie::Trie;

/// A map gets fewer entries than this part of its own one by one. Each then costs a walk from the
/// root, which is faster than walking two maps in lockstep until they meet in most leaves.
const FEW: usize = 8;

/// What user code may do with keys and values: compare them.
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

/// Which keys an operation on two maps keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Those of either; the value is that of the second.
    Union,
    /// Those of both, as the first has them.
    Intersection,
    /// Those of the first only.
    Difference,
}

struct Select<'c, C> {
    keep: Keep,
    compare: &'c mut C,
}

impl<H: Heap, C: Compare<H>> Rule<H, 2> for Select<'_, C> {
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        Some(match (self.keep, alike) {
            (Keep::Union, [Some(_), None] | [Some(0), Some(0)])
            | (Keep::Intersection, [Some(0), Some(0)])
            | (Keep::Difference, [Some(_), None]) => Choice::Take(0),
            (Keep::Union, [None, _]) => Choice::Take(1),
            (Keep::Intersection, [None, _] | [_, None])
            | (Keep::Difference, [None, _] | [Some(0), Some(0)]) => Choice::Drop,
            _ => return None,
        })
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        _: Hash,
        entries: [Option<&EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        Ok(match (self.keep, entries) {
            (Keep::Union, [Some(a), Some(b)]) if !H::is_identical(&a.value, &b.value) => {
                Choice::Make(EntryOf::<H> { key: a.key.clone(), value: b.value.clone() })
            }
            (Keep::Union, [Some(_), _])
            | (Keep::Intersection, [Some(_), Some(_)])
            | (Keep::Difference, [Some(_), None]) => Choice::Take(0),
            (Keep::Union, [None, _]) => Choice::Take(1),
            _ => Choice::Drop,
        })
    }
}

/// What differs between two maps.
pub struct Diff<H: Heap> {
    /// What only the second map has.
    pub added: Trie<H>,
    /// What only the first map has.
    pub removed: Trie<H>,
    /// The keys whose values differ, as `changed` of [`Trie::diff`] made them.
    pub changed: Trie<H>,
}

struct Differences<'c, H: Heap, C, F> {
    compare: &'c mut C,
    change: F,
    added: Vec<Hashed<H>>,
    removed: Vec<Hashed<H>>,
    changed: Vec<Hashed<H>>,
}

impl<H, C, F> Rule<H, 2> for Differences<'_, H, C, F>
where
    H: Heap,
    C: Compare<H>,
    F: FnMut(&H::Value, &H::Value) -> Result<H::Value, H::Error>,
{
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        (alike == [Some(0), Some(0)]).then_some(Choice::Drop)
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        hash: Hash,
        entries: [Option<&EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        match entries {
            [Some(old), None] => self.removed.push((hash, old.clone())),
            [None, Some(new)] => self.added.push((hash, new.clone())),
            [Some(old), Some(new)] if !self.compare.equal(&old.value, &new.value)? => {
                let value = (self.change)(&old.value, &new.value)?;
                self.changed.push((hash, EntryOf::<H> { key: old.key.clone(), value }));
            }
            _ => {}
        }
        Ok(Choice::Drop)
    }
}

/// What two descendants of one map have made of a key in different ways: what is now in the base,
/// in ours and in theirs.
pub type Conflict<'a, H> = [Option<&'a EntryOf<H>>; 3];

struct Merge<'c, C, F> {
    compare: &'c mut C,
    resolve: F,
}

fn is_identical<H: Heap>(a: Option<&EntryOf<H>>, b: Option<&EntryOf<H>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => std::ptr::eq(a, b) || H::is_identical(&a.value, &b.value),
        _ => false,
    }
}

impl<C, F> Merge<'_, C, F> {
    fn is_same<H: Heap>(
        &mut self,
        a: Option<&EntryOf<H>>,
        b: Option<&EntryOf<H>>,
    ) -> Result<bool, H::Error>
    where
        C: Compare<H>,
    {
        match (a, b) {
            (None, None) => Ok(true),
            (Some(a), Some(b)) => self.compare.equal(&a.value, &b.value),
            _ => Ok(false),
        }
    }
}

impl<H, C, F> Rule<H, 3> for Merge<'_, C, F>
where
    H: Heap,
    C: Compare<H>,
    F: FnMut(Conflict<'_, H>) -> Result<Option<H::Value>, H::Error>,
{
    fn subtree(&self, [base, ours, theirs]: [Option<usize>; 3]) -> Option<Choice<()>> {
        if ours == theirs || base == theirs {
            Some(Choice::Take(1))
        } else if base == ours {
            Some(Choice::Take(2))
        } else {
            None
        }
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        _: Hash,
        entries: [Option<&EntryOf<H>>; 3],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        let [base, ours, theirs] = entries;
        let take = |map: usize| entries[map].map_or(Choice::Drop, |_| Choice::Take(map));
        // As for subtrees, identity comes first: what of two equal values is kept must not depend
        // on what else has changed in the same leaf.
        if is_identical::<H>(ours, theirs) || is_identical::<H>(base, theirs) {
            return Ok(take(1));
        }
        if is_identical::<H>(base, ours) {
            return Ok(take(2));
        }
        if self.is_same(ours, theirs)? || self.is_same(base, theirs)? {
            return Ok(take(1));
        }
        if self.is_same(base, ours)? {
            return Ok(take(2));
        }
        let key = entries.into_iter().flatten().next().map(|entry| entry.key.clone());
        let value = (self.resolve)(entries)?;
        Ok(match (key, value) {
            (Some(key), Some(value)) => Choice::Make(EntryOf::<H> { key, value }),
            _ => Choice::Drop,
        })
    }
}

/// Keeps, drops or replaces each value of one map.
struct Each<F>(F);

impl<H, F> Rule<H, 1> for Each<F>
where
    H: Heap,
    F: FnMut(&EntryOf<H>) -> Result<Option<H::Value>, H::Error>,
{
    fn subtree(&self, _: [Option<usize>; 1]) -> Option<Choice<()>> {
        None
    }

    fn same(&mut self, _: &H::Key, _: &H::Key) -> Result<bool, H::Error> {
        Ok(false)
    }

    fn entry(
        &mut self,
        _: Hash,
        [entry]: [Option<&EntryOf<H>>; 1],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        let Some(entry) = entry else { return Ok(Choice::Drop) };
        Ok(match (self.0)(entry)? {
            None => Choice::Drop,
            Some(value) if H::is_identical(&entry.value, &value) => Choice::Take(0),
            Some(value) => Choice::Make(EntryOf::<H> { key: entry.key.clone(), value }),
        })
    }
}

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
    pub fn union(&self, other: &Self, compare: &mut impl Compare<H>) -> Result<Self, H::Error> {
        self.select(other, Keep::Union, compare)
    }

    /// This map with these entries; of those with one key, the last value. O(k log n) for k of
    /// them.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
    pub fn extended(
        &self,
        entries: &[Hashed<H>],
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        if entries.len() > self.len() / FEW {
            let added = Self::build(entries.to_vec(), |new, stored| compare.same(stored, new))?;
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
    pub fn difference(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
    ) -> Result<Self, H::Error> {
        self.select(other, Keep::Difference, compare)
    }

    /// What has to be done to this map to make it equal to `other`.
    ///
    /// `change` makes one value of the old and the new one of a key.
    ///
    /// # Errors
    ///
    /// The first one of a comparison, of `change` or of the heap.
    pub fn diff(
        &self,
        other: &Self,
        compare: &mut impl Compare<H>,
        change: impl FnMut(&H::Value, &H::Value) -> Result<H::Value, H::Error>,
    ) -> Result<Diff<H>, H::Error> {
        let (added, removed, changed) = (Vec::new(), Vec::new(), Vec::new());
        let mut rule = Differences { compare, change, added, removed, changed };
        combine([self.root_slot(), other.root_slot()], &mut rule)?;
        let map = |found: Vec<Hashed<H>>| build_sorted(found).map(Self::from_root);
        Ok(Diff {
            added: map(rule.added)?,
            removed: map(rule.removed)?,
            changed: map(rule.changed)?,
        })
    }

    /// This map, the base, with the changes that led to `ours` and those that led to `theirs`.
    ///
    /// What both have changed in different ways is put to `resolve`, which returns the value to
    /// keep, or `None` to leave the key out.
    ///
    /// # Errors
    ///
    /// The first one of a comparison, of `resolve` or of the heap.
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
    pub fn map_entries(
        &self,
        change: impl FnMut(&EntryOf<H>) -> Result<Option<H::Value>, H::Error>,
    ) -> Result<Self, H::Error> {
        combine([self.root_slot()], &mut Each(change)).map(Self::from_root)
    }
}
