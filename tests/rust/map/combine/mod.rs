//! Operations on whole maps, compared with `std::collections::BTreeMap`.

use crate::support::heaps::{
    Checked, Fallible, Raised, Sought, TestHeap, Whole, live_nodes, raise_after, raise_never,
    user_code,
};
use crate::support::shapes::{BITS, Binary, COPY, MANY, Nibbles, OddBits, Spans, cases, hash, id};
use ctxvars::map::{
    Compare, Conflict, Diff, EntryOf, Hash, HashOf, HashedEntry, Location, PointerShape, Trie,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Runs a check, generic over the heap, on every heap with every shape. No node may leak.
macro_rules! on_every_heap {
    ($($check:ident)::+ ($($argument:expr),*)) => {{
        $($check)::+::<Fallible<PointerShape>>($($argument),*);
        $($check)::+::<Fallible<Binary>>($($argument),*);
        $($check)::+::<Fallible<OddBits>>($($argument),*);
        $($check)::+::<Checked<PointerShape>>($($argument),*);
        $($check)::+::<Checked<Binary>>($($argument),*);
        $($check)::+::<Checked<OddBits>>($($argument),*);
        $($check)::+::<Checked<Spans>>($($argument),*);
        $($check)::+::<Whole<PointerShape>>($($argument),*);
        $($check)::+::<Whole<Nibbles>>($($argument),*);
        assert_eq!(live_nodes(), 0, "every node has been freed");
    }};
}

// These modules use the macro, so they follow it.
mod build;
mod cost;
mod diff;
mod digest;
mod errors;
mod iteration;
mod locations;
mod map_entries;
mod merge;
mod panics;
mod regressions;
mod set_ops;

/// Compares keys and values, and counts the comparisons.
#[derive(Default)]
struct Judge {
    calls: usize,
}

impl<H: TestHeap> Compare<H> for Judge {
    fn same(&mut self, a: &u32, b: &u32) -> Result<bool, Raised> {
        self.calls += 1;
        same(a, b)
    }

    fn equal(&mut self, a: &Rc<u32>, b: &Rc<u32>) -> Result<bool, Raised> {
        self.calls += 1;
        user_code()?;
        Ok(a == b)
    }
}

fn same(a: &u32, b: &u32) -> Result<bool, Raised> {
    user_code()?;
    Ok(id(*a) == id(*b))
}

/// The result of an operation that cannot fail.
fn certain<T>(result: Result<T, Raised>) -> T {
    result.expect("nothing raises")
}

/// Values are numbers below this: few, so that maps often have equal values.
const VALUES: u32 = 6;

/// The number of keys that are tested one by one.
const TRIED: u32 = if cfg!(miri) { 1 } else { 12 };

/// One `Rc` for each value, so that equal values are identical.
struct Pool(Vec<Rc<u32>>);

impl Pool {
    fn new() -> Self {
        Self((0..VALUES).map(Rc::new).collect())
    }

    fn get(&self, value: u32) -> Rc<u32> {
        Rc::clone(&self.0[value as usize])
    }

    /// The number of references to all values.
    fn references(&self) -> usize {
        self.0.iter().map(Rc::strong_count).sum()
    }

    fn assert_nothing_leaked(&self) {
        assert_eq!(self.references(), self.0.len(), "every value has been dropped once");
    }
}

/// The key and the value, by the id of the key.
type Model = BTreeMap<u32, (u32, u32)>;

/// The content of `map`, whose invariants are checked.
fn model<H: TestHeap>(map: &Trie<H>) -> Model {
    map.check_invariants();
    let found: Model =
        map.iter().map(|(_, entry)| (id(entry.key), (entry.key, *entry.value))).collect();
    assert_eq!(found.len(), map.len(), "no key is there twice");
    assert_eq!(found.is_empty(), map.is_empty());
    found
}

/// Sets the value of a key, or removes it.
type Edit = (u32, Option<u32>);

fn edit(keys: u32) -> impl Strategy<Value = Edit> {
    (0..keys, prop::option::weighted(0.7, 0..VALUES))
}

fn edits(keys: u32) -> impl Strategy<Value = Vec<Edit>> {
    prop_oneof![prop::collection::vec(edit(keys), 0..4), prop::collection::vec(edit(keys), 0..MANY),]
}

/// The relation of two maps to their base.
#[derive(Clone, Copy, Debug)]
enum Relation {
    /// Edited clones, which share nodes.
    Shared,
    /// Edited clones that were rebuilt, so that they share no nodes.
    Apart,
    /// Edits of empty maps.
    Unrelated,
}

/// The edits that make three maps.
#[derive(Clone, Debug)]
struct Plan {
    base: Vec<Edit>,
    ours: Vec<Edit>,
    theirs: Vec<Edit>,
    relation: Relation,
    bits: u32,
}

fn plan(keys: u32) -> impl Strategy<Value = Plan> {
    let relation = prop_oneof![
        2 => Just(Relation::Shared),
        1 => Just(Relation::Apart),
        1 => Just(Relation::Unrelated),
    ];
    let base = prop::collection::vec(edit(keys), 0..MANY);
    let bits = prop::sample::select(&BITS[..]);
    (base, edits(keys), edits(keys), relation, bits).prop_map(
        |(base, ours, theirs, relation, bits)| Plan { base, ours, theirs, relation, bits },
    )
}

impl Plan {
    /// The base, `ours` and `theirs`. The keys that each of them inserts are distinct copies.
    fn maps<H: TestHeap>(&self, pool: &Pool) -> [Trie<H>; 3] {
        let mut base = Trie::new();
        apply(&mut base, &self.base, 0, self.bits, pool);
        let other = |edits: &[Edit], copy: u32| {
            let mut map = match self.relation {
                Relation::Shared | Relation::Apart => base.clone(),
                Relation::Unrelated => Trie::new(),
            };
            apply(&mut map, edits, copy, self.bits, pool);
            if matches!(self.relation, Relation::Apart) { rebuilt(&map) } else { map }
        };
        let (ours, theirs) = (other(&self.ours, 1), other(&self.theirs, 2));
        [base, ours, theirs]
    }
}

fn apply<H: TestHeap>(map: &mut Trie<H>, edits: &[Edit], copy: u32, bits: u32, pool: &Pool) {
    for &(key, value) in edits {
        let (key, hash) = (key + copy * COPY, hash(key, bits));
        match value {
            Some(value) => drop(certain(map.insert(hash, key, pool.get(value), same))),
            None => drop(certain(map.remove(hash, Sought(key)))),
        }
    }
}

/// A map with the same entries, built in reverse order.
fn rebuilt<H: TestHeap>(map: &Trie<H>) -> Trie<H> {
    let mut entries: Vec<HashedEntry<H>> =
        map.iter().map(|(hash, entry)| (hash, entry.clone())).collect();
    entries.reverse();
    certain(Trie::build(entries, same))
}

/// Whether the heap implements `is_identical`.
fn knows_identity<H: TestHeap>() -> bool {
    let value = Rc::new(0);
    H::is_identical(&value, &Rc::clone(&value))
}
