//! Programs that run all operations of `HashTrieMap` on a few maps: for property tests, for fuzzing and
//! for tests with panics.
//!
//! | file | concept |
//! | --- | --- |
//! | `mod.rs` | the steps of a program |
//! | `act.rs` | running a step on maps |
//! | `model.rs` | running a step on models of the maps |
//! | `program.rs` | running a program, comparing maps with models after each step |
//! | `source.rs` | printing a program as code |
//! | `strategy.rs` | how `proptest` generates steps (the fuzzer uses `Arbitrary`) |
//! | `items.rs`, `hashers.rs` | the keys, values and hashers |
//!
//! `fuzz/rust/fuzz_targets/map.rs` includes this folder by its path.

#![allow(dead_code, unused_imports, unused_macros)] // The fuzzer uses a part of it.

mod act;
mod hashers;
mod items;
mod model;
mod program;
mod source;
#[cfg(test)]
pub(crate) mod strategy;

pub(crate) use hashers::{Bits, Hashes, Hashing, Seeded, with_hasher};
pub(crate) use items::{Burnt, Call, Id, Key, Value, k, light, live, put_out, user_code, v};
pub(crate) use model::{Model, Models};
pub(crate) use program::{Program, assert_like, is_like, maps};
pub(crate) use std::hash::RandomState;

use arbitrary::{Arbitrary, Unstructured};
use ctxvars::HashTrieMap;

/// The number of maps in a program.
pub(crate) const MAPS: usize = 4;

/// The number of ids of keys: enough for three levels of branches.
pub(crate) const IDS: u16 = 512;

/// The number of copies of a key.
pub(crate) const COPIES: u8 = 3;

/// The number of values: few, so that maps often have equal values.
pub(crate) const VALUES: u8 = 6;

pub(crate) type Maps<S> = [HashTrieMap<Key, Value, S>; MAPS];

/// The index of a map.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) usize);

/// The parts of a key and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) id: u16,
    pub(crate) copy: u8,
    pub(crate) value: u8,
}

impl Pair {
    pub(crate) fn key(self) -> Key {
        k(self.id, self.copy)
    }

    pub(crate) fn value(self) -> Value {
        v(self.value)
    }
}

impl<'a> Arbitrary<'a> for Slot {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        u.int_in_range(0..=MAPS - 1).map(Slot)
    }
}

impl<'a> Arbitrary<'a> for Pair {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self {
            id: u.int_in_range(0..=IDS - 1)?,
            copy: u.int_in_range(0..=COPIES - 1)?,
            value: u.int_in_range(0..=VALUES - 1)?,
        })
    }
}

/// One step of a program. If it makes a map, this replaces the map `to`.
#[derive(Arbitrary, Clone)]
pub(crate) enum Action {
    // One key.
    Insert {
        map: Slot,
        pair: Pair,
    },
    Update {
        map: Slot,
        pair: Pair,
        to: Slot,
    },
    Remove {
        map: Slot,
        pair: Pair,
    },
    RemoveEntry {
        map: Slot,
        pair: Pair,
    },
    Without {
        map: Slot,
        pair: Pair,
        to: Slot,
    },
    GetMut {
        map: Slot,
        pair: Pair,
    },
    /// Sets the value of the pair; the value 0 removes the key.
    Alter {
        map: Slot,
        pair: Pair,
        to: Slot,
    },
    EntryOrInsert {
        map: Slot,
        pair: Pair,
    },
    EntryAndModify {
        map: Slot,
        pair: Pair,
    },
    /// With the methods of `OccupiedEntry` or `VacantEntry`.
    EntryInsert {
        map: Slot,
        pair: Pair,
    },
    /// With the method of `Entry`.
    EntryInsertEntry {
        map: Slot,
        pair: Pair,
    },
    EntryRemove {
        map: Slot,
        pair: Pair,
    },
    EntryDrop {
        map: Slot,
        pair: Pair,
    },
    // Many keys.
    Extend {
        map: Slot,
        pairs: Vec<Pair>,
    },
    /// Consecutive keys, starting with the id of the pair.
    Fill {
        map: Slot,
        first: Pair,
        count: u8,
    },
    ExtendByReference {
        map: Slot,
        other: Slot,
    },
    Collect {
        pairs: Vec<Pair>,
        to: Slot,
    },
    // Whole maps.
    Clone {
        map: Slot,
        to: Slot,
    },
    Clear {
        map: Slot,
    },
    /// Keeps smaller values than this.
    Retain {
        map: Slot,
        below: u8,
    },
    Filter {
        map: Slot,
        below: u8,
        to: Slot,
    },
    MapValues {
        map: Slot,
        add: u8,
        to: Slot,
    },
    ValuesMut {
        map: Slot,
        add: u8,
    },
    /// Changes the values of keys with even ids.
    IterMut {
        map: Slot,
        add: u8,
    },
    /// Consumes a map, and builds a map of some of its entries with another hasher.
    IntoIter {
        map: Slot,
        below: u8,
    },
    /// Builds an equal map independently: in another order, with another hasher.
    Rebuild {
        map: Slot,
        to: Slot,
    },
    /// Consumes a map in part.
    IntoIterPart {
        map: Slot,
        count: u8,
    },
    /// Empties a map, and takes some of its entries.
    Drain {
        map: Slot,
        count: u8,
    },
    /// Removes smaller values than this.
    ExtractIf {
        map: Slot,
        below: u8,
    },
    // Two maps, and three.
    Union {
        map: Slot,
        other: Slot,
        to: Slot,
    },
    UnionWith {
        map: Slot,
        other: Slot,
        to: Slot,
    },
    Intersection {
        map: Slot,
        other: Slot,
        to: Slot,
    },
    IntersectionWith {
        map: Slot,
        other: Slot,
        to: Slot,
    },
    Difference {
        map: Slot,
        other: Slot,
        to: Slot,
    },
    SymmetricDifference {
        map: Slot,
        other: Slot,
        to: Slot,
    },
    Merge {
        base: Slot,
        ours: Slot,
        theirs: Slot,
        to: Slot,
    },
    IsSubmap {
        map: Slot,
        other: Slot,
    },
    Equal {
        map: Slot,
        other: Slot,
    },
    Hash {
        map: Slot,
        other: Slot,
    },
    Diff {
        map: Slot,
        other: Slot,
    },
    /// Successful and unsuccessful lookups.
    Get {
        map: Slot,
        pair: Pair,
    },
}

/// The visible result of a step, independent of the order of hashes.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Nothing,
    Truth(bool),
    Number(usize),
    Value(Option<u8>),
    Pair(Option<Pair>),
    /// Whether the result has the same root as its original.
    Shares(bool),
    /// The ids of keys, sorted.
    Ids(Vec<u16>),
    /// The changes, in the order of the ids.
    Changes(Vec<Changed>),
    /// The arguments of `resolve`, in the order of the ids.
    Conflicts(Vec<(u16, Versions)>),
}

/// The values of a key in the base, in `ours` and in `theirs`.
pub(crate) type Versions = [Option<u8>; 3];

/// A change between two maps, with the copy of the key that `Change` refers to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Changed {
    pub(crate) id: u16,
    pub(crate) copy: u8,
    pub(crate) old: Option<u8>,
    pub(crate) new: Option<u8>,
}

/// The new value in steps that change a value.
pub(crate) fn added(value: u8, add: u8) -> u8 {
    (value + add % VALUES) % VALUES
}

/// The result of functions of two values. It is not symmetric.
pub(crate) fn mixed(a: u8, b: u8) -> u8 {
    (2 * a + b + 1) % VALUES
}

/// The resolution of a conflict in `merge`; for some conflicts, the key is removed.
pub(crate) fn resolved([base, ours, theirs]: Versions) -> Option<u8> {
    let [base, ours, theirs] = [base, ours, theirs].map(|it| it.unwrap_or(VALUES));
    Some((base + 2 * ours + 3 * theirs) % (VALUES + 2)).filter(|&value| value < VALUES)
}
