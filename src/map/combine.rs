//! What can be made of one map, of two or of three: the rules for [`lockstep`](super::lockstep).

use super::build::{Hashed, build_sorted};
use super::hash::Hash;
use super::heap::Heap;
use super::lockstep::{Choice, Rule, combine};
use super::node::{Entry, EntryOf, Slot};
use super::trie::Trie;
use alloc::vec::Vec;

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
    /// Those of either; where both have a key, the entry of the first.
    UnionOfFirst,
    /// Those of both, as the first has them.
    Intersection,
    /// Those of the first only.
    Difference,
    /// Those of one only.
    SymmetricDifference,
}

impl Keep {
    /// Whether keys of the second map alone are kept.
    const fn takes_second(self) -> bool {
        matches!(self, Keep::Union | Keep::UnionOfFirst | Keep::SymmetricDifference)
    }

    /// Whether keys of the first map alone are kept.
    const fn takes_first(self) -> bool {
        !matches!(self, Keep::Intersection)
    }

    /// Whether keys of both maps are kept.
    const fn takes_both(self) -> bool {
        !matches!(self, Keep::Difference | Keep::SymmetricDifference)
    }
}

struct Select<'c, C> {
    keep: Keep,
    compare: &'c mut C,
}

/// Takes what one of the maps has, or leaves it out.
const fn take_if<E>(is_kept: bool, map: usize) -> Choice<E> {
    if is_kept { Choice::Take(map) } else { Choice::Drop }
}

impl<'a, H: Heap, C: Compare<H>> Rule<'a, H, 2> for Select<'_, C> {
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        match alike {
            [Some(_), None] => Some(take_if(self.keep.takes_first(), 0)),
            [None, _] => Some(take_if(self.keep.takes_second(), 1)),
            [Some(0), Some(0)] => Some(take_if(self.keep.takes_both(), 0)),
            _ => None,
        }
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        _: Hash,
        entries: [Option<&'a EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        Ok(match entries {
            [Some(a), Some(b)]
                if self.keep == Keep::Union && !H::is_identical(&a.value, &b.value) =>
            {
                Choice::Make(EntryOf::<H> { key: a.key.clone(), value: b.value.clone() })
            }
            [Some(_), Some(_)] => take_if(self.keep.takes_both(), 0),
            [Some(_), None] => take_if(self.keep.takes_first(), 0),
            [None, _] => take_if(self.keep.takes_second(), 1),
        })
    }
}

/// The entries of both maps, with values made by a function for the keys of both.
struct Unite<'c, C, F> {
    compare: &'c mut C,
    unite: F,
}

impl<'a, H, C, F> Rule<'a, H, 2> for Unite<'_, C, F>
where
    H: Heap,
    C: Compare<H>,
    F: FnMut(&EntryOf<H>, &EntryOf<H>) -> Result<H::Value, H::Error>,
{
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        match alike {
            [Some(_), None] => Some(Choice::Take(0)),
            [None, _] => Some(Choice::Take(1)),
            _ => None,
        }
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        _: Hash,
        entries: [Option<&'a EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        Ok(match entries {
            [Some(a), Some(b)] => {
                Choice::Make(EntryOf::<H> { key: a.key.clone(), value: (self.unite)(a, b)? })
            }
            [Some(_), None] => Choice::Take(0),
            [None, _] => Choice::Take(1),
        })
    }
}

/// One difference between two maps.
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
pub type HashedChange<'a, H> = (Hash, Change<'a, <H as Heap>::Key, <H as Heap>::Value>);

/// What differs between two maps, as maps.
pub struct Diff<H: Heap> {
    /// What only the second map has.
    pub added: Trie<H>,
    /// What only the first map has.
    pub removed: Trie<H>,
    /// The keys whose values differ, as `changed` of [`Trie::diff`] made them.
    pub changed: Trie<H>,
}

struct Differences<'a, 'c, H: Heap, C> {
    compare: &'c mut C,
    found: Vec<HashedChange<'a, H>>,
}

impl<'a, H: Heap, C: Compare<H>> Rule<'a, H, 2> for Differences<'a, '_, H, C> {
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        (alike == [Some(0), Some(0)]).then_some(Choice::Drop)
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        hash: Hash,
        entries: [Option<&'a EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        let found = match entries {
            [Some(old), None] => Some(Change::Removed { key: &old.key, value: &old.value }),
            [None, Some(new)] => Some(Change::Added { key: &new.key, value: &new.value }),
            [Some(Entry { key, value: old }), Some(Entry { value: new, .. })] => {
                let is_changed = !self.compare.equal(old, new)?;
                is_changed.then_some(Change::Changed { key, old, new })
            }
            [None, None] => None,
        };
        self.found.extend(found.map(|change| (hash, change)));
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
        (Some(a), Some(b)) => core::ptr::eq(a, b) || H::is_identical(&a.value, &b.value),
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

impl<'a, H, C, F> Rule<'a, H, 3> for Merge<'_, C, F>
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
        entries: [Option<&'a EntryOf<H>>; 3],
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

impl<'a, H, F> Rule<'a, H, 1> for Each<F>
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
        [entry]: [Option<&'a EntryOf<H>>; 1],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        let Some(entry) = entry else { return Ok(Choice::Drop) };
        Ok(match (self.0)(entry)? {
            None => Choice::Drop,
            Some(value) if H::is_identical(&entry.value, &value) => Choice::Take(0),
            Some(value) => Choice::Make(EntryOf::<H> { key: entry.key.clone(), value }),
        })
    }
}

/// Keeps or drops each entry of one map.
struct Filter<F>(F);

impl<'a, H, F> Rule<'a, H, 1> for Filter<F>
where
    H: Heap,
    F: FnMut(&EntryOf<H>) -> Result<bool, H::Error>,
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
        [entry]: [Option<&'a EntryOf<H>>; 1],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        let is_kept = entry.map_or(Ok(false), &mut self.0)?;
        Ok(take_if(is_kept, 0))
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

    /// The entries of both maps; where both have a key, that of this map.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
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

    /// The entries whose keys only one of the two maps has.
    ///
    /// # Errors
    ///
    /// The first one of a comparison or of the heap.
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
            list.push((hash, EntryOf::<H> { key: key.clone(), value }));
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

    /// The entries for which `is_kept` is true. O(n); what is kept whole is shared.
    ///
    /// # Errors
    ///
    /// The first one of `is_kept` or of the heap.
    pub fn filter(
        &self,
        is_kept: impl FnMut(&EntryOf<H>) -> Result<bool, H::Error>,
    ) -> Result<Self, H::Error> {
        combine([self.root_slot()], &mut Filter(is_kept)).map(Self::from_root)
    }
}
