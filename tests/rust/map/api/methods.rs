//! The methods that `HashTrieMap` shares with `std::collections::HashMap`, compared with it.

use crate::support::shapes::cases;
use ctxvars::HashTrieMap;
use ctxvars::hash_trie_map::{Entry, IntoIter, IntoKeys, IntoValues, Iter, IterMut, Keys, Values};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::hash_map;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Many keys have equal hashes.
#[derive(Default, Clone)]
struct Coarse(u64);

impl Hasher for Coarse {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = (self.0 ^ u64::from(byte / 3)).wrapping_mul(31));
    }
}

type Map = HashTrieMap<u8, u32, BuildHasherDefault<Coarse>>;
type Std = HashMap<u8, u32>;

/// A map, with other maps that share its nodes, and its model.
fn maps(model: &Std, shared: u8) -> (Map, Std, [Map; 2]) {
    let map: Map = model.clone().into_iter().collect();
    let others = match shared % 3 {
        0 => [Map::default(), Map::default()],
        1 => [map.clone(), Map::default()],
        _ => [map.update(shared, 7), map.without(&shared)],
    };
    (map, model.clone(), others)
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

fn check(map: &Map, std: &Std) {
    map.check_invariants();
    assert_eq!(map.len(), std.len());
    assert!(std.iter().all(|(key, value)| map.get(key) == Some(value)));
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn removing_many_entries_agrees_with_std(model: Std, shared: u8, divisor in 1_u32..5, taken in 0_usize..40) {
        let doomed = |key: &u8, value: &mut u32| {
            *value = value.wrapping_add(1);
            (u32::from(*key) + *value % 2) % divisor == 0
        };
        let (mut map, mut std, others) = maps(&model, shared);
        let kept = others.each_ref().map(|map| sorted(map.iter().map(|(key, value)| (*key, *value))));
        map.retain(|key, value| !doomed(key, value));
        std.retain(|key, value| !doomed(key, value));
        check(&map, &std);

        let (mut map, mut std, more) = maps(&model, shared);
        let mut extracted = Vec::new();
        std.retain(|key, value| {
            let is_doomed = doomed(key, value);
            extracted.extend(is_doomed.then_some((*key, *value)));
            !is_doomed
        });
        prop_assert_eq!(sorted(map.extract_if(doomed)), sorted(extracted));
        check(&map, &std);

        // An iterator that is dropped early leaves the rest in the map.
        let (mut map, std, _) = maps(&model, shared);
        let extracted: Vec<u8> = map.extract_if(|_, _| true).take(taken).map(|(key, _)| key).collect();
        prop_assert_eq!(extracted.len(), taken.min(std.len()));
        let mut rest = std.clone();
        rest.retain(|key, _| !extracted.contains(key));
        check(&map, &rest);

        let (mut map, mut std, _) = maps(&model, shared);
        prop_assert_eq!(sorted(map.drain()), sorted(std.drain()));
        check(&map, &std);
        map.extend(model.clone());
        drop(map.drain().take(taken).collect::<Vec<_>>());
        check(&map, &std);

        for maps in [others, more] {
            let now = maps.each_ref().map(|map| sorted(map.iter().map(|(key, value)| (*key, *value))));
            prop_assert_eq!(&now, &kept, "maps that share nodes do not change");
            maps.iter().for_each(Map::check_invariants);
        }
    }

    #[test]
    fn consuming_iterators_agree_with_std(model: Std, shared: u8, taken in 0_usize..40) {
        let (map, std, _others) = maps(&model, shared);
        prop_assert_eq!(sorted(map.clone().into_keys()), sorted(std.clone().into_keys()));
        prop_assert_eq!(sorted(map.clone().into_values()), sorted(std.clone().into_values()));
        let mut entries = map.into_iter();
        let seen = entries.by_ref().take(taken).count();
        let left = entries.len();
        prop_assert_eq!(seen + left, std.len());
        let shown = format!("{entries:?}");
        prop_assert_eq!(shown, format!("{:?}", entries.collect::<Vec<_>>()));
    }

    #[test]
    fn mutable_iterators_show_what_is_left(model: Std, shared: u8, taken in 0_usize..40) {
        let (mut map, _, _others) = maps(&model, shared);
        let mut entries = map.iter_mut();
        let changed: Vec<&mut u32> = entries.by_ref().take(taken).map(|(_, value)| value).collect();
        let shown = format!("{entries:?}");
        changed.into_iter().for_each(|value| *value = 1);
        prop_assert_eq!(shown, format!("{:?}", entries.collect::<Vec<_>>()));
    }

    #[test]
    fn get_disjoint_mut_changes_the_values_of_its_keys(model: Std, shared: u8, keys: [u8; 4]) {
        let (mut map, mut std, others) = maps(&model, shared);
        let copied = || others.each_ref().map(|other| sorted(other.clone()));
        let before = copied();
        let repeats = |it| keys[..it].contains(&keys[it]) && std.contains_key(&keys[it]);
        let is_repeated = (1..4).any(repeats);
        let keys = [&keys[0], &keys[1], &keys[2], &keys[3]];
        let values = catch_unwind(AssertUnwindSafe(|| {
            map.get_disjoint_mut(keys).map(|value| value.map(|it| mem::replace(it, *it + 7)))
        }));
        match values {
            Ok(values) => {
                prop_assert!(!is_repeated);
                prop_assert_eq!(values, keys.map(|key| std.get(key).copied()));
                for key in keys {
                    std.entry(*key).and_modify(|value| *value += 7);
                }
            }
            Err(_) => prop_assert!(is_repeated),
        }
        check(&map, &std);
        prop_assert_eq!(copied(), before);
    }

    #[test]
    fn insert_entry_agrees_with_std(model: Std, shared: u8, keys: [u8; 6]) {
        let (mut map, mut std, _others) = maps(&model, shared);
        for (key, value) in keys.into_iter().zip(1000..) {
            let (ours, theirs) = (map.entry(key), std.entry(key));
            prop_assert_eq!(format!("{:?}", ours), format!("{:?}", theirs));
            let (mut ours, mut theirs) = (ours.insert_entry(value), theirs.insert_entry(value));
            prop_assert_eq!((ours.key(), ours.get()), (theirs.key(), theirs.get()));
            prop_assert_eq!(format!("{:?}", ours), format!("{:?}", theirs));
            *ours.get_mut() += 1;
            *theirs.get_mut() += 1;
            if value % 2 == 0 {
                prop_assert_eq!(ours.remove_entry(), theirs.remove_entry());
            }
            check(&map, &std);
        }
    }
}

#[test]
fn vacant_entries_agree_with_std() {
    let (mut map, mut std) = (HashTrieMap::new(), HashMap::new());
    match (map.entry("a"), std.entry("a")) {
        (Entry::Vacant(ours), hash_map::Entry::Vacant(theirs)) => {
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
            assert_eq!(ours.insert_entry(1).get(), theirs.insert_entry(1).get());
        }
        _ => panic!("both maps are empty"),
    }
    assert_eq!((map["a"], std["a"]), (1, 1));
}

#[test]
fn other_collections_convert_without_annotations() {
    let map = HashTrieMap::from([("a", 1), ("b", 2)]);
    assert_eq!(HashTrieMap::from(vec![("a", 1), ("b", 2)]), map);
    assert_eq!(HashTrieMap::from(BTreeMap::from([("a", 1), ("b", 2)])), map);
    assert_eq!(HashTrieMap::from(HashMap::from([("a", 1), ("b", 2)])), map);
    let into: HashTrieMap<_, _> = [("a", 1), ("b", 2)].into();
    assert_eq!(into, map);
}

#[test]
fn hints_about_capacity_change_nothing() {
    let mut map: HashTrieMap<u8, u8> = HashTrieMap::with_capacity(usize::MAX);
    map.reserve(usize::MAX);
    map.insert(1, 1);
    map.shrink_to_fit();
    assert_eq!(map, HashTrieMap::from([(1, 1)]));
    let other: Map = Map::with_capacity_and_hasher(9, BuildHasherDefault::default());
    assert!(other.is_empty());
}

#[test]
fn default_iterators_are_empty() {
    assert_eq!(Iter::<u8, u8>::default().next(), None);
    assert_eq!(IterMut::<u8, u8>::default().next(), None);
    assert_eq!(Keys::<u8, u8>::default().next(), None);
    assert_eq!(Values::<u8, u8>::default().next(), None);
    assert_eq!(IntoIter::<u8, u8>::default().next(), None);
    assert_eq!(IntoKeys::<u8, u8>::default().next(), None);
    assert_eq!(IntoValues::<u8, u8>::default().next(), None);
}

/// A value that counts its clones.
struct Counted(Rc<Cell<u32>>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.set(self.0.get() + 1);
        Self(self.0.clone())
    }
}

#[test]
fn removing_from_an_unshared_map_clones_nothing() {
    let clones = Rc::new(Cell::new(0));
    let mut map: HashTrieMap<u32, Counted> =
        (0..300).map(|n| (n, Counted(clones.clone()))).collect();
    map.retain(|key, _| key % 3 != 0);
    map.extract_if(|key, _| key % 3 == 1).for_each(drop);
    assert_eq!((map.len(), clones.get()), (100, 0));
    let copy = map.clone();
    map.retain(|_, _| true);
    assert_eq!((map.len(), copy.len(), clones.get()), (100, 100, 100));
    drop(copy);
    assert_eq!((map.drain().count(), clones.get()), (100, 100));
}
