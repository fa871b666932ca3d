//! Programs on a few maps that cover every operation of `HashTrieMap`: for property tests, for
//! fuzzing and for keys that panic.
//!
//! | file | concept |
//! | --- | --- |
//! | `mod.rs` | what a step of a program can be |
//! | `act.rs` | a step, done to maps |
//! | `model.rs` | a step, done to models of the maps |
//! | `program.rs` | a program: after every step the maps are compared with their models |
//! | `source.rs` | a program, printed as code that runs |
//! | `strategy.rs` | how `proptest` makes steps (the fuzzer makes them by `Arbitrary`) |
//! | `items.rs`, `hashers.rs` | the keys, values and hashers |
//!
//! `fuzz/rust/fuzz_targets/map.rs` includes this folder by its path: it is no part of the crate.

#![allow(dead_code, unused_imports, unused_macros)] // Each test uses a part of it.

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

/// How many maps a program works on.
pub(crate) const MAPS: usize = 4;

/// Keys have ids below this: enough for three levels of branches.
pub(crate) const IDS: u16 = 512;

/// Keys with one id have copies below this.
pub(crate) const COPIES: u8 = 3;

/// Values are below this: few, so that maps often agree.
pub(crate) const VALUES: u8 = 6;

pub(crate) type Maps<S> = [HashTrieMap<Key, Value, S>; MAPS];

/// The number of a map.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) usize);

/// What a key and a value are made of.
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

/// One step of a program. Where it makes a map, that takes the place of the map `to`.
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
    /// With the value of the pair if it is not 0, which removes the key.
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
    /// By the methods of the occupied or the vacant entry.
    EntryInsert {
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
    /// With keys from the id of the pair on.
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
    /// Keeps values below one.
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
    /// Those of keys with an even id.
    IterMut {
        map: Slot,
        add: u8,
    },
    /// Takes a map apart and puts a part of it together again, with another hasher.
    IntoIter {
        map: Slot,
        below: u8,
    },
    /// Makes an equal map apart: in another order, with another hasher.
    Rebuild {
        map: Slot,
        to: Slot,
    },
    /// Takes a few entries of a map and drops the others.
    IntoIterPart {
        map: Slot,
        count: u8,
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
    /// Look-ups that find nothing included.
    Get {
        map: Slot,
        pair: Pair,
    },
}

/// What a step returns or shows, as far as it does not depend on the order of hashes.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Nothing,
    Truth(bool),
    Number(usize),
    Value(Option<u8>),
    Pair(Option<Pair>),
    /// Whether the result shares its root with the map that it was made of.
    Shares(bool),
    /// The differences, in the order of the ids.
    Changes(Vec<Changed>),
    /// The ids put to `resolve`, in their order, and the values there.
    Conflicts(Vec<(u16, Versions)>),
}

/// The values of a key in the base, in ours and in theirs.
pub(crate) type Versions = [Option<u8>; 3];

/// A difference between two maps: the key as the map has it that is named first in a `Change`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Changed {
    pub(crate) id: u16,
    pub(crate) copy: u8,
    pub(crate) old: Option<u8>,
    pub(crate) new: Option<u8>,
}

/// What steps that change values make of one.
pub(crate) fn added(value: u8, add: u8) -> u8 {
    (value + add % VALUES) % VALUES
}

/// What functions of two values make of them: not the same if they are exchanged.
pub(crate) fn mixed(a: u8, b: u8) -> u8 {
    (2 * a + b + 1) % VALUES
}

/// What `merge` makes of a conflict: nothing, for some.
pub(crate) fn resolved([base, ours, theirs]: Versions) -> Option<u8> {
    let [base, ours, theirs] = [base, ours, theirs].map(|it| it.unwrap_or(VALUES));
    Some((base + 2 * ours + 3 * theirs) % (VALUES + 2)).filter(|&value| value < VALUES)
}
