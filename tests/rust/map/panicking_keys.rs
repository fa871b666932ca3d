//! Panics in user code: keys, values and functions that panic at their n-th call, for each n. Each
//! operation of `HashTrieMap` leaves each map unchanged or completes, drops everything once and leaks
//! nothing.

use crate::support::actions::*;
use ctxvars::HashTrieMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The number of calls that panic in turn. Later calls panic with a stride.
const EACH: usize = if cfg!(miri) { 3 } else { 24 };

/// The stride between calls that panic, from `EACH` on.
const STRIDE: usize = if cfg!(miri) { 29 } else { 7 };

/// The stride between operations that are tested: Miri is slow.
const EVERY: usize = if cfg!(miri) { 23 } else { 1 };

const A: Slot = Slot(0);
const B: Slot = Slot(1);
const SMALL: Slot = Slot(2);
const TO: Slot = Slot(3);

fn pair(id: u16, value: u8) -> Pair {
    Pair { id, copy: 1, value }
}

/// The maps: `A` is a tree of branches and leaves, `B` is derived from it, `SMALL` is a leaf.
///
/// At the edge, `A` with one entry less is a leaf, and `SMALL` with one entry more is a tree.
fn setup(shared: bool, at_edge: bool) -> Vec<Action> {
    let (count, few) = if at_edge { (17, 16) } else { (if cfg!(miri) { 18 } else { 40 }, 9) };
    let first = Pair { id: 0, copy: 0, value: 1 };
    let mut actions = vec![
        Action::Fill { map: A, first, count },
        Action::Fill { map: SMALL, first: Pair { id: 10, copy: 0, value: 2 }, count: few },
    ];
    if shared {
        actions.push(Action::Clone { map: A, to: B });
    } else {
        actions.push(Action::Fill { map: B, first, count });
    }
    actions.extend([
        Action::Insert { map: B, pair: pair(3, 2) },
        Action::Insert { map: B, pair: pair(300, 2) },
        Action::Remove { map: B, pair: pair(4, 0) },
    ]);
    actions
}

/// All operations, on stored keys and on missing keys.
fn operations() -> Vec<Action> {
    let (there, absent) = (pair(11, 3), pair(400, 4));
    let pairs = vec![there, absent, pair(12, 4), pair(401, 0), absent];
    let mut operations = Vec::new();
    for map in [A, SMALL] {
        for pair in [there, absent] {
            operations.extend([
                Action::Insert { map, pair },
                Action::Update { map, pair, to: TO },
                Action::Remove { map, pair },
                Action::RemoveEntry { map, pair },
                Action::Without { map, pair, to: TO },
                Action::GetMut { map, pair },
                Action::Alter { map, pair, to: TO },
                Action::Alter { map, pair: Pair { value: 0, ..pair }, to: TO },
                Action::EntryOrInsert { map, pair },
                Action::EntryAndModify { map, pair },
                Action::EntryInsert { map, pair },
                Action::EntryInsertEntry { map, pair },
                Action::EntryRemove { map, pair },
                Action::EntryDrop { map, pair },
                Action::Get { map, pair },
            ]);
        }
        operations.extend([
            Action::Extend { map, pairs: pairs.clone() },
            Action::Extend { map, pairs: pairs[..1].to_vec() },
            Action::ExtendByReference { map, other: B },
            Action::Fill { map, first: pair(200, 1), count: 12 },
            Action::Retain { map, below: 2 },
            Action::Filter { map, below: 3, to: TO },
            Action::MapValues { map, add: 1, to: TO },
            Action::ValuesMut { map, add: 1 },
            Action::IterMut { map, add: 1 },
            Action::IntoIter { map, below: 3 },
            Action::IntoIterPart { map, count: 5 },
            Action::Drain { map, count: 5 },
            Action::ExtractIf { map, below: 2 },
            Action::Rebuild { map, to: TO },
            Action::Clear { map },
            Action::Clone { map, to: B },
            Action::Hash { map, other: B },
        ]);
        for (map, other) in [(map, B), (B, map)] {
            operations.extend([
                Action::Union { map, other, to: TO },
                Action::UnionWith { map, other, to: TO },
                Action::Intersection { map, other, to: TO },
                Action::IntersectionWith { map, other, to: TO },
                Action::Difference { map, other, to: TO },
                Action::SymmetricDifference { map, other, to: TO },
                Action::IsSubmap { map, other },
                Action::Equal { map, other },
                Action::Diff { map, other },
                Action::Merge { base: SMALL, ours: map, theirs: other, to: TO },
                Action::Merge { base: A, ours: other, theirs: map, to: TO },
            ]);
        }
    }
    operations.push(Action::Collect { pairs, to: TO });
    operations
}

/// Whether a panic may leave some entries changed or inserted, and others not.
fn changes_one_by_one(operation: &Action) -> bool {
    matches!(
        operation,
        Action::ValuesMut { .. }
            | Action::IterMut { .. }
            | Action::Extend { .. }
            | Action::ExtendByReference { .. }
            | Action::Fill { .. }
    )
}

/// Whether the operation consumes the map.
fn gives_away(operation: &Action) -> bool {
    matches!(
        operation,
        Action::IntoIter { .. } | Action::IntoIterPart { .. } | Action::Drain { .. }
    )
}

/// Whether a panic may leave some entries removed, and others not.
fn removes_one_by_one(operation: &Action) -> bool {
    matches!(operation, Action::ExtractIf { .. })
}

/// Whether the map has all keys of the first model, and each of its keys has the value of one of two
/// models.
fn is_between<S: Hashes>(map: &HashTrieMap<Key, Value, S>, before: &Model, after: &Model) -> bool {
    let has = |model: &Model, key: &Key, value: &Value| {
        model.get(&key.id()).is_some_and(|entry| entry.1 == value.get())
    };
    before.keys().all(|&id| map.contains_key(&Id(id)))
        && map.iter().all(|(key, value)| has(before, key, value) || has(after, key, value))
}

/// Runs `operation` once for each place where `call` may panic.
fn burn<S: Hashes>(setup: &[Action], operation: &Action, call: Call) {
    for calls in (0..EACH).chain((EACH..).step_by(STRIDE)) {
        let outside = live();
        let (mut maps, mut models) = (maps::<S>(), Models::default());
        for action in setup {
            action.act(&mut maps);
            action.expected(&mut models);
        }
        let before = models.clone();
        light(call, calls);
        let done = catch_unwind(AssertUnwindSafe(|| operation.act(&mut maps)));
        let was_too_many = put_out();
        let expected = operation.expected(&mut models);
        if let Ok(seen) = &done {
            assert_eq!(*seen, expected, "{operation:?}");
        }
        for ((map, before), after) in maps.iter().zip(&before).zip(&models) {
            let what = format!("{operation:?} with {call:?} panicking at call {calls}");
            let checked = catch_unwind(AssertUnwindSafe(|| map.check_invariants()));
            assert!(checked.is_ok(), "{what}: the shape is wrong");
            let is_right = if done.is_ok() {
                is_like(map, after)
            } else {
                is_like(map, before)
                    || is_like(map, after)
                    || (changes_one_by_one(operation) && is_between(map, before, after))
                    || (removes_one_by_one(operation) && is_between(map, after, before))
                    || (gives_away(operation) && map.is_empty())
            };
            assert!(is_right, "{what}: {map:?} was {before:?}");
        }
        drop(done);
        drop(maps);
        let leaked = live() - outside;
        // Rust itself leaks the return value of a function when the `drop` of a local variable
        // panics.
        let may_leak = call == Call::Drop;
        assert!(
            leaked == 0 || (may_leak && leaked > 0),
            "{operation:?} with {call:?} panicking at call {calls}: {leaked} leaked",
        );
        if was_too_many {
            return;
        }
    }
}

fn burn_everything<S: Hashes>(call: Call) {
    for (shared, at_edge) in [(true, false), (false, false), (true, true), (false, true)] {
        for operation in operations().into_iter().step_by(EVERY) {
            burn::<S>(&setup(shared, at_edge), &operation, call);
        }
    }
}

macro_rules! survives {
    ($($(#[$attribute:meta])* $name:ident: $call:ident,)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            burn_everything::<Bits<64>>(Call::$call);
            burn_everything::<Bits<1>>(Call::$call);
            burn_everything::<Seeded<4>>(Call::$call);
        }
    )*};
}

survives! {
    every_operation_survives_a_panic_of_eq: Eq,
    every_operation_survives_a_panic_of_hash: Hash,
    every_operation_survives_a_panic_of_clone: Clone,
    every_operation_survives_a_panic_of_drop: Drop,
    every_operation_survives_a_panic_of_borrow: Borrow,
    every_operation_survives_a_panic_of_its_function: Function,
    every_operation_survives_a_panic_of_its_iterator: Next,
}
