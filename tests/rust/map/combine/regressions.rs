//! Plans that failed once, when the map was developed.

use super::*;

fn check_all(plan: &Plan) {
    on_every_heap!(set_ops::check(plan));
    on_every_heap!(map_entries::check(plan));
    on_every_heap!(diff::check(plan));
    on_every_heap!(merge::check(plan));
    on_every_heap!(errors::check(plan));
    on_every_heap!(iteration::check(plan));
    on_every_heap!(locations::check(plan));
    on_every_heap!(digest::check(plan));
}

#[test]
fn entries_of_a_shared_base_are_removed_on_one_side() {
    check_all(&Plan {
        base: [11, 19, 16, 27, 18].map(|key| (key, Some(0))).to_vec(),
        ours: vec![],
        theirs: vec![(16, None), (29, None), (31, Some(2))],
        relation: Relation::Shared,
        bits: 1,
    });
}

#[test]
fn one_entry_meets_a_leaf_of_an_unrelated_map() {
    check_all(&Plan {
        base: vec![],
        ours: [2, 36, 0, 44].map(|key| (key, Some(0))).to_vec(),
        theirs: vec![(44, Some(5))],
        relation: Relation::Unrelated,
        bits: 4,
    });
}
