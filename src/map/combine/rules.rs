//! The rules that [`lockstep`](super::lockstep) applies to one, two or three maps.

use super::change::{Change, Conflict, HashedChange};
use super::compare::Compare;
use super::lockstep::{Choice, Rule};
use crate::map::heap::{CloningHeap, Heap};
use crate::map::levels::HashOf;
use crate::map::node::{Entry, EntryOf};
use crate::map::reserve;
use alloc::vec::Vec;

/// A set operation on the keys of two maps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SetOperation {
    /// Keys of either map; in a key of both, the value of the second map wins.
    Update,
    /// Keys of either map; in a key of both, the value of the first map wins.
    Union,
    /// Keys of both maps, with the entries of the first.
    Intersection,
    /// Keys of the first map only.
    Difference,
    /// Keys of exactly one map.
    SymmetricDifference,
}

impl SetOperation {
    /// Whether keys of only the second map are kept.
    const fn takes_second(self) -> bool {
        matches!(
            self,
            SetOperation::Update | SetOperation::Union | SetOperation::SymmetricDifference
        )
    }

    /// Whether keys of only the first map are kept.
    const fn takes_first(self) -> bool {
        !matches!(self, SetOperation::Intersection)
    }

    /// Whether keys of both maps are kept.
    const fn takes_both(self) -> bool {
        !matches!(self, SetOperation::Difference | SetOperation::SymmetricDifference)
    }
}

/// The rule of set operations.
pub(super) struct SetRule<'c, C> {
    pub(super) operation: SetOperation,
    pub(super) compare: &'c mut C,
}

/// Takes the content of one map, or drops it.
pub(super) const fn take_if<E>(is_kept: bool, map: usize) -> Choice<E> {
    if is_kept { Choice::Take(map) } else { Choice::Drop }
}

impl<'a, H: CloningHeap, C: Compare<H>> Rule<'a, H, 2> for SetRule<'_, C> {
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        match alike {
            [Some(_), None] => Some(take_if(self.operation.takes_first(), 0)),
            [None, _] => Some(take_if(self.operation.takes_second(), 1)),
            [Some(0), Some(0)] => Some(take_if(self.operation.takes_both(), 0)),
            _ => None,
        }
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        _: HashOf<H>,
        entries: [Option<&'a EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        Ok(match entries {
            [Some(a), Some(b)]
                if self.operation == SetOperation::Update
                    && !H::is_identical(&a.value, &b.value) =>
            {
                Choice::Make(EntryOf::<H> { key: a.key.clone(), value: b.value.clone() })
            }
            [Some(_), Some(_)] => take_if(self.operation.takes_both(), 0),
            [Some(_), None] => take_if(self.operation.takes_first(), 0),
            [None, _] => take_if(self.operation.takes_second(), 1),
        })
    }
}

/// The rule for the entries of the first map that the second map has (`matched`) or does not have.
pub(super) struct MatchRule<'c, C> {
    pub(super) compare: &'c mut C,
    pub(super) matched: bool,
}

impl<C> MatchRule<'_, C> {
    /// Whether the rule takes an entry of the first map.
    pub(super) fn takes<H: Heap>(
        &mut self,
        entry: &EntryOf<H>,
        other: Option<&EntryOf<H>>,
    ) -> Result<bool, H::Error>
    where
        C: Compare<H>,
    {
        let is_matched = match other {
            Some(other) => self.compare.equal(&entry.value, &other.value)?,
            None => false,
        };
        Ok(is_matched == self.matched)
    }
}

impl<'a, H: Heap, C: Compare<H>> Rule<'a, H, 2> for MatchRule<'_, C> {
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        match alike {
            [Some(_), None] => Some(take_if(!self.matched, 0)),
            [None, _] => Some(Choice::Drop),
            [Some(0), Some(0)] => Some(take_if(self.matched, 0)),
            _ => None,
        }
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        _: HashOf<H>,
        [entry, other]: [Option<&'a EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        let Some(entry) = entry else { return Ok(Choice::Drop) };
        Ok(take_if(self.takes::<H>(entry, other)?, 0))
    }
}

/// The rule that searches for an entry which [`MatchRule`] takes. The result is empty.
pub(super) struct FindMatch<'c, C> {
    pub(super) rule: MatchRule<'c, C>,
    pub(super) found: bool,
}

impl<'a, H: Heap, C: Compare<H>> Rule<'a, H, 2> for FindMatch<'_, C> {
    /// A subtree with such an entry must be visited, so only `Drop` is decided here.
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        let choice = Rule::<H, 2>::subtree(&self.rule, alike);
        choice.filter(|choice| matches!(choice, Choice::Drop))
    }

    fn has_seen_enough(&self) -> bool {
        self.found
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.rule.same(a, b)
    }

    fn entry(
        &mut self,
        _: HashOf<H>,
        [entry, other]: [Option<&'a EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        if let Some(entry) = entry {
            self.found = self.rule.takes::<H>(entry, other)?;
        }
        Ok(Choice::Drop)
    }
}

/// The rule of a union in which a function combines the values of keys in both maps.
pub(super) struct UnionWith<'c, C, F> {
    pub(super) compare: &'c mut C,
    pub(super) function: F,
}

impl<'a, H, C, F> Rule<'a, H, 2> for UnionWith<'_, C, F>
where
    H: CloningHeap,
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
        _: HashOf<H>,
        entries: [Option<&'a EntryOf<H>>; 2],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        Ok(match entries {
            [Some(a), Some(b)] => {
                Choice::Make(EntryOf::<H> { key: a.key.clone(), value: (self.function)(a, b)? })
            }
            [Some(_), None] => Choice::Take(0),
            [None, _] => Choice::Take(1),
        })
    }
}

/// The rule that collects differences. The result is empty.
pub(super) struct DiffRule<'a, 'c, H: Heap, C> {
    pub(super) compare: &'c mut C,
    pub(super) found: Vec<HashedChange<'a, H>>,
}

impl<'a, H: Heap, C: Compare<H>> Rule<'a, H, 2> for DiffRule<'a, '_, H, C> {
    fn subtree(&self, alike: [Option<usize>; 2]) -> Option<Choice<()>> {
        (alike == [Some(0), Some(0)]).then_some(Choice::Drop)
    }

    fn same(&mut self, a: &H::Key, b: &H::Key) -> Result<bool, H::Error> {
        self.compare.same(a, b)
    }

    fn entry(
        &mut self,
        hash: HashOf<H>,
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
        if let Some(change) = found {
            reserve::push::<H, _>(&mut self.found, (hash, change))?;
        }
        Ok(Choice::Drop)
    }
}

/// The rule of a three-way merge.
pub(super) struct MergeRule<'c, C, F> {
    pub(super) compare: &'c mut C,
    pub(super) resolve: F,
}

fn is_identical<H: Heap>(a: Option<&EntryOf<H>>, b: Option<&EntryOf<H>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => core::ptr::eq(a, b) || H::is_identical(&a.value, &b.value),
        _ => false,
    }
}

impl<C, F> MergeRule<'_, C, F> {
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

impl<'a, H, C, F> Rule<'a, H, 3> for MergeRule<'_, C, F>
where
    H: CloningHeap,
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
        _: HashOf<H>,
        entries: [Option<&'a EntryOf<H>>; 3],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        let [base, ours, theirs] = entries;
        let take = |map: usize| entries[map].map_or(Choice::Drop, |_| Choice::Take(map));
        // Identity comes first, as for subtrees. Otherwise the choice between two equal values would
        // depend on other changes in the same leaf.
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

/// The rule of operations on each entry of one map.
pub(super) struct PerEntry<F>(pub(super) F);

impl<'a, H, F> Rule<'a, H, 1> for PerEntry<F>
where
    H: Heap,
    F: FnMut(&EntryOf<H>) -> Result<Choice<EntryOf<H>>, H::Error>,
{
    fn subtree(&self, _: [Option<usize>; 1]) -> Option<Choice<()>> {
        None
    }

    fn same(&mut self, _: &H::Key, _: &H::Key) -> Result<bool, H::Error> {
        Ok(false)
    }

    fn entry(
        &mut self,
        _: HashOf<H>,
        [entry]: [Option<&'a EntryOf<H>>; 1],
    ) -> Result<Choice<EntryOf<H>>, H::Error> {
        entry.map_or(Ok(Choice::Drop), |entry| (self.0)(entry))
    }
}
