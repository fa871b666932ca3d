//! How `proptest` generates programs.

use super::{Action, COPIES, Hashing, IDS, MAPS, Pair, Program, Slot, VALUES};
use proptest::prelude::*;
use proptest::sample::select;

fn slot() -> impl Strategy<Value = Slot> {
    (0..MAPS).prop_map(Slot)
}

/// Mostly a few ids, so that steps often use the same key.
fn pair() -> impl Strategy<Value = Pair> {
    let id = prop_oneof![4 => 0..40_u16, 1 => 0..IDS];
    (id, 0..COPIES, 0..VALUES).prop_map(|(id, copy, value)| Pair { id, copy, value })
}

fn one_key() -> impl Strategy<Value = Action> {
    (0..14, slot(), pair(), slot()).prop_map(|(kind, map, pair, to)| match kind {
        0 => Action::Insert { map, pair },
        1 => Action::Update { map, pair, to },
        2 => Action::Remove { map, pair },
        3 => Action::RemoveEntry { map, pair },
        4 => Action::Without { map, pair, to },
        5 => Action::GetMut { map, pair },
        6 => Action::Alter { map, pair, to },
        7 => Action::EntryOrInsert { map, pair },
        8 => Action::EntryAndModify { map, pair },
        9 => Action::EntryInsert { map, pair },
        10 => Action::EntryRemove { map, pair },
        11 => Action::EntryDrop { map, pair },
        12 => Action::EntryInsertEntry { map, pair },
        _ => Action::Get { map, pair },
    })
}

fn many_keys(longest: usize) -> impl Strategy<Value = Action> {
    let pairs = prop::collection::vec(pair(), 0..longest);
    (0..4, slot(), pairs, slot()).prop_map(|(kind, map, pairs, other)| match kind {
        0 => Action::Extend { map, pairs },
        1 => Action::Collect { pairs, to: map },
        2 => Action::ExtendByReference { map, other },
        _ => {
            let count = (pairs.len() * 2).min(255) as u8;
            let first = pairs.first().copied().unwrap_or(Pair { id: 0, copy: 0, value: 0 });
            Action::Fill { map, first, count }
        }
    })
}

fn one_map() -> impl Strategy<Value = Action> {
    (0..12, slot(), 0..=VALUES, slot()).prop_map(|(kind, map, number, to)| match kind {
        0 => Action::Clone { map, to },
        1 => Action::Retain { map, below: number },
        2 => Action::Filter { map, below: number, to },
        3 => Action::MapValues { map, add: number, to },
        4 => Action::ValuesMut { map, add: number },
        5 => Action::IterMut { map, add: number },
        6 => Action::IntoIter { map, below: number },
        7 => Action::Clear { map },
        8 => Action::Rebuild { map, to },
        9 => Action::Drain { map, count: 3 * number },
        10 => Action::ExtractIf { map, below: number },
        _ => Action::IntoIterPart { map, count: 3 * number },
    })
}

fn several_maps() -> impl Strategy<Value = Action> {
    let slots = (slot(), slot(), slot(), slot());
    (0..11, slots).prop_map(|(kind, (map, other, to, base))| match kind {
        0 => Action::Union { map, other, to },
        1 => Action::UnionWith { map, other, to },
        2 => Action::Intersection { map, other, to },
        3 => Action::IntersectionWith { map, other, to },
        4 => Action::Difference { map, other, to },
        5 => Action::SymmetricDifference { map, other, to },
        6 => Action::Merge { base, ours: map, theirs: other, to },
        7 => Action::IsSubmap { map, other },
        8 => Action::Equal { map, other },
        9 => Action::Hash { map, other },
        _ => Action::Diff { map, other },
    })
}

/// A step, with lists shorter than `longest`.
pub(crate) fn action(longest: usize) -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => one_key(),
        3 => many_keys(longest),
        1 => (slot(), slot()).prop_map(|(map, to)| Action::Clone { map, to }),
        2 => one_map(),
        4 => several_maps(),
    ]
}

/// A program of fewer steps than `steps`, with lists shorter than `longest`.
pub(crate) fn program(steps: usize, longest: usize) -> impl Strategy<Value = Program> {
    let actions = prop::collection::vec(action(longest), 1..steps);
    (select(&Hashing::ALL[..]), actions).prop_map(|(hashing, actions)| Program { hashing, actions })
}
