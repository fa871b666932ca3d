//! The entries of one map that another map has, compared with `BTreeMap`, with and without shared
//! nodes.

use ctxvars::map::{ArcHeap, Compare, Entry, Hash, Trie};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::convert::Infallible;

type Map = Trie<ArcHeap<u32, u32>>;
type Model = BTreeMap<u32, u32>;

/// Compares by `==`, and counts the comparisons.
#[derive(Default)]
struct Judge(usize);

impl Compare<ArcHeap<u32, u32>> for Judge {
    fn same(&mut self, a: &u32, b: &u32) -> Result<bool, Infallible> {
        self.0 += 1;
        Ok(a == b)
    }

    fn equal(&mut self, a: &u32, b: &u32) -> Result<bool, Infallible> {
        self.0 += 1;
        Ok(a == b)
    }
}

/// Keys, some with the same hash.
fn hash(key: u32) -> Hash {
    Hash::mix(u64::from(key % 700))
}

fn certain<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}

fn map(entries: &Model) -> Map {
    let hashed = entries.iter().map(|(&key, &value)| (hash(key), Entry { key, value }));
    certain(Trie::build(hashed.collect(), |a, b| Ok(a == b)))
}

/// An edited clone of the map, which shares nodes with it.
fn derived(base: &Map, changes: &Model) -> Map {
    let mut map = base.clone();
    for (&key, &value) in changes {
        certain(map.insert(hash(key), key, value, |a, b| Ok(a == b)));
    }
    map
}

fn entries(map: &Map) -> Model {
    map.iter().map(|(_, entry)| (entry.key, entry.value)).collect()
}

fn check(one: &Map, other: &Map) {
    let (model, others) = (entries(one), entries(other));
    let is_there = |(key, value): &(&u32, &u32)| others.get(key) == Some(value);
    let own = |(key, value): (&u32, &u32)| (*key, *value);
    let common: Model = model.iter().filter(is_there).map(own).collect();
    let rest: Model = model.iter().filter(|it| !is_there(it)).map(own).collect();
    let judge = &mut Judge::default();
    assert_eq!(entries(&certain(one.entries_in(other, judge))), common);
    assert_eq!(entries(&certain(one.entries_not_in(other, judge))), rest);
    assert_eq!(certain(one.is_subset(other, judge)), rest.is_empty());
    assert_eq!(certain(one.is_disjoint(other, judge)), common.is_empty());
}

fn models(most: usize) -> impl Strategy<Value = Model> {
    prop::collection::btree_map(0..2000_u32, 0..3_u32, 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]

    #[test]
    fn agrees_with_the_model(one in models(40), other in models(400)) {
        let (one, other) = (map(&one), map(&other));
        check(&one, &other);
        check(&other, &one);
    }

    #[test]
    fn sharing_nodes_does_not_change_the_result(base in models(300), changes in models(20)) {
        let base = map(&base);
        let changed = derived(&base, &changes);
        check(&base, &changed);
        check(&changed, &base);
        check(&base, &base);
    }
}

/// `count` entries from a key on, whose values are the keys.
fn run(start: u32, count: u32) -> Model {
    (start..start + count).map(|key| (key, key)).collect()
}

#[test]
fn the_first_counterexample_ends_the_walk() {
    let (one, other) = (map(&run(0, 600)), map(&run(0, 600)));
    let judge = &mut Judge::default();
    assert!(!certain(one.is_disjoint(&other, judge)));
    assert!(judge.0 <= 2, "{} comparisons", judge.0);
    let changed = derived(&map(&run(0, 600)), &(0..600).map(|key| (key, 0)).collect());
    judge.0 = 0;
    assert!(!certain(one.is_subset(&changed, judge)));
    assert!(judge.0 <= 4, "{} comparisons", judge.0);
}

#[test]
fn shared_and_missing_entries_are_not_compared() {
    let base = map(&run(0, 600));
    let changed = derived(&base, &BTreeMap::from([(3, 0)]));
    let judge = &mut Judge::default();
    assert_eq!(entries(&certain(base.entries_not_in(&changed, judge))), BTreeMap::from([(3, 3)]));
    assert!(certain(base.is_subset(&base, judge)));
    assert!(judge.0 <= 40, "{} comparisons", judge.0);
    judge.0 = 0;
    let few = map(&run(590, 5));
    assert!(certain(few.is_subset(&base, judge)));
    assert_eq!(judge.0, 10);
    assert!(certain(few.entries_in(&base, judge)).ptr_eq(&few));
}
