//! Union, intersection, difference and symmetric difference of sets.
//!
//! As methods they take any iterables, as operators any sets. The result is a `Set`. Of two equal
//! elements, that of the left operand is in the result; but an intersection with a `Set` on the
//! right has the elements of the `Set`.

use super::{SetObject, comparison, one_element};
use crate::map::Trie;
use crate::python::interpreter::{ErrorSet, Owned, RecursionGuard, TypedObject as _};
use crate::python::map::bulk;
use crate::python::map::entries::Entries;
use crate::python::map::key::ByEquality;
use crate::python::map::py_heap::{MapObject, PyHeap};

/// A map from each element of an iterable to `None`.
pub(super) fn elements(iterable: &Owned) -> Result<Trie<PyHeap>, ErrorSet> {
    if let Some(set) = SetObject::of(iterable) {
        return Ok(set.map().share());
    }
    let none = Owned::none();
    if let Some(map) = bulk::map_with_keys(iterable) {
        // The hashes are known.
        return map.map_entries(|_| Ok(Some(none.clone())));
    }
    let mut entries = Entries::default();
    iterable.for_each(|element| {
        entries.push_hashed(one_element::hash(&element)?, element, none.clone())
    })?;
    entries.into_map()
}

/// A map with the elements of an iterable as keys.
pub(super) fn keys_of(iterable: &Owned) -> Result<Trie<PyHeap>, ErrorSet> {
    bulk::map_with_keys(iterable).map_or_else(|| elements(iterable), Ok)
}

pub(super) fn union(set: &SetObject, others: &[Owned]) -> Result<Owned, ErrorSet> {
    let mut all = set.map().share();
    for other in others {
        all = all.updated(&elements(other)?, &mut ByEquality::default())?;
    }
    set.derived(all)
}

/// The elements that are in all of the `others` or, unless `among`, in none of them.
fn select(set: &SetObject, others: &[Owned], among: bool) -> Result<Owned, ErrorSet> {
    let mut left = set.map().clone_reference();
    for other in others {
        left = MapObject::from_trie(bulk::select(&left, other, among, keys_of)?);
    }
    set.derived(left.share())
}

pub(super) fn intersection(set: &SetObject, others: &[Owned]) -> Result<Owned, ErrorSet> {
    select(set, others, true)
}

pub(super) fn difference(set: &SetObject, others: &[Owned]) -> Result<Owned, ErrorSet> {
    select(set, others, false)
}

pub(super) fn symmetric_difference(set: &SetObject, other: &Owned) -> Result<Owned, ErrorSet> {
    let other = elements(other)?;
    set.derived(set.map().trie().symmetric_difference(&other, &mut ByEquality::default())?)
}

pub(super) fn filter(set: &SetObject, predicate: &Owned) -> Result<Owned, ErrorSet> {
    let _nested = RecursionGuard::walking(c" while filtering a Set")?;
    set.derived(set.map().trie().filter(|entry| predicate.call_one(&entry.key)?.is_true())?)
}

/// The operands of an operator. At least one is a `Set`.
enum Operands<'a> {
    /// The left one is a `Set`.
    Left(&'a SetObject, &'a Owned),
    /// Only the right one is a `Set`.
    Right(&'a Owned, &'a SetObject),
    /// One is not a set at all.
    NotSets,
}

impl<'a> Operands<'a> {
    fn of(left: &'a Owned, right: &'a Owned) -> Result<Self, ErrorSet> {
        Ok(match (SetObject::of(left), SetObject::of(right)) {
            (Some(left), _) if comparison::is_set(right)? => Self::Left(left, right),
            (None, Some(right)) if comparison::is_set(left)? => Self::Right(left, right),
            _ => Self::NotSets,
        })
    }
}

pub(super) fn and(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    match Operands::of(left, right)? {
        Operands::Left(set, other) | Operands::Right(other, set) => {
            intersection(set, std::slice::from_ref(other))
        }
        Operands::NotSets => Ok(Owned::not_implemented()),
    }
}

pub(super) fn or(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    match Operands::of(left, right)? {
        Operands::Left(set, other) => union(set, std::slice::from_ref(other)),
        Operands::Right(other, set) => SetObject::of_trie(
            elements(other)?.updated(&set.map().trie(), &mut ByEquality::default())?,
        ),
        Operands::NotSets => Ok(Owned::not_implemented()),
    }
}

pub(super) fn subtract(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    match Operands::of(left, right)? {
        Operands::Left(set, other) => difference(set, std::slice::from_ref(other)),
        Operands::Right(other, set) => SetObject::of_trie(
            elements(other)?.difference(&set.map().trie(), &mut ByEquality::default())?,
        ),
        Operands::NotSets => Ok(Owned::not_implemented()),
    }
}

pub(super) fn xor(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    match Operands::of(left, right)? {
        Operands::Left(set, other) | Operands::Right(other, set) => {
            symmetric_difference(set, other)
        }
        Operands::NotSets => Ok(Owned::not_implemented()),
    }
}
