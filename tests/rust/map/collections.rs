//! The traits and methods that `HashTrieMap` shares with the collections of the standard library.

use crate::support::actions::{Bits, Call, Key, Seeded, Value, k, light, put_out, v};
use ctxvars::hash_trie_map::{DefaultHashBuilder, Entry, HashTrieMap};
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Map = HashTrieMap<String, u32>;

fn named(count: u32) -> impl Iterator<Item = (String, u32)> {
    (0..count).map(|n| (n.to_string(), n))
}

#[test]
fn maps_are_made_from_other_collections() {
    let map: Map = named(50).collect();
    let from_std = Map::from(named(50).collect::<HashMap<_, _>>());
    let from_tree: HashTrieMap<String, u32, RandomState> =
        named(50).collect::<BTreeMap<_, _>>().into_iter().collect();
    assert_eq!(map, from_std);
    assert!(map.iter().all(|(key, value)| from_tree.get(key) == Some(value)));
    assert_eq!(map.clone().into_iter().collect::<HashMap<_, _>>(), named(50).collect());
    assert_eq!(Map::from([]), Map::default());
    assert_eq!(Map::from([("a".into(), 1), ("a".into(), 2)])["a"], 2);
}

#[test]
fn iterators_agree_with_each_other() {
    let mut map: Map = named(100).collect();
    let entries: Vec<(String, u32)> =
        map.iter().map(|(key, value)| (key.clone(), *value)).collect();
    assert!(map.keys().eq(entries.iter().map(|entry| &entry.0)));
    assert!(map.values().eq(entries.iter().map(|entry| &entry.1)));
    assert!((&map).into_iter().eq(map.iter()));
    assert!(map.values_mut().map(|value| *value).eq(entries.iter().map(|entry| entry.1)));
    let mut iterator = map.iter();
    for left in (0..100).rev() {
        let ahead = iterator.clone();
        assert_eq!(ahead.len(), left + 1);
        assert_eq!(iterator.next(), ahead.clone().next());
        assert_eq!(iterator.size_hint(), (left, Some(left)));
        assert_eq!(iterator.clone().count(), left);
    }
    assert_eq!((iterator.next(), iterator.next()), (None, None));
    assert_eq!(format!("{:?}", map.keys()).matches(',').count(), 99);
    assert_eq!(map.into_iter().collect::<Vec<_>>(), entries);
}

#[test]
fn debug_output_matches_the_standard_library() {
    let map: Map = named(1).collect();
    let std: HashMap<String, u32> = named(1).collect();
    assert_eq!(format!("{map:?}"), format!("{std:?}"));
    assert_eq!(format!("{map:#?}"), format!("{std:#?}"));
    assert_eq!(format!("{:?}", map.iter()), format!("{:?}", std.iter()));
    assert_eq!(format!("{:?}", map.keys()), format!("{:?}", std.keys()));
    assert_eq!(format!("{:?}", map.values()), format!("{:?}", std.values()));
    let (mut map, mut std) = (map, std);
    for key in ["0", "1"].map(str::to_owned) {
        let std = format!("{:?}", std.entry(key.clone()));
        assert_eq!(format!("{:?}", map.entry(key)), std);
    }
    assert_eq!(format!("{:?}", map.iter_mut()), format!("{:?}", std.iter_mut()));
    assert_eq!(format!("{:?}", map.values_mut()), format!("{:?}", std.values_mut()));
    let all =
        [|map: Map| format!("{:?}", map.into_iter()), |mut map: Map| format!("{:?}", map.drain())];
    for debug in all {
        assert_eq!(debug(map.clone()), format!("{:?}", std.clone().into_iter()));
    }
    assert_eq!(format!("{:?}", map.clone().into_keys()), format!("{:?}", std.clone().into_keys()));
    assert_eq!(format!("{:?}", map.into_values()), format!("{:?}", std.into_values()));
}

#[test]
fn only_indexing_panics_on_a_missing_key() {
    let map: Map = named(3).collect();
    assert_eq!((map.get("3"), map["2"]), (None, 2));
    assert!(catch_unwind(|| map["3"]).is_err());
}

#[test]
fn entries_give_their_keys_and_values() {
    let mut map: Map = named(30).collect();
    let copy = map.clone();
    match map.entry("7".to_owned()) {
        Entry::Occupied(mut entry) => {
            assert_eq!((entry.key().as_str(), *entry.get()), ("7", 7));
            *entry.get_mut() += 1;
            assert_eq!(entry.insert(9), 8);
            assert_eq!(entry.remove_entry(), ("7".to_owned(), 9));
        }
        Entry::Vacant(_) => panic!("the key is there"),
    }
    match map.entry("7".to_owned()) {
        Entry::Vacant(entry) => {
            assert_eq!(entry.key(), "7");
            *entry.insert(1) += 6;
        }
        Entry::Occupied(_) => panic!("the key is not there"),
    }
    *map.entry("new".to_owned()).or_default() += 1;
    assert_eq!(*map.entry("7".to_owned()).or_insert(0), 7);
    assert_eq!(*map.entry("four".to_owned()).or_insert_with_key(|key| key.len() as u32), 4);
    assert_eq!((map.len(), copy.len()), (32, 30));
    assert_eq!(copy, named(30).collect());
    map.check_invariants();
}

/// Also if there are so few entries that they need no vector.
#[test]
fn a_map_is_not_extended_if_the_iterator_panics() {
    for count in 1..=10 {
        let mut map: Map = named(20).collect();
        let entries = (20..20 + count).map(|n| {
            assert!(n < 19 + count, "the last entry");
            (n.to_string(), n)
        });
        let extended = catch_unwind(AssertUnwindSafe(|| map.extend(entries)));
        assert!(extended.is_err());
        assert_eq!(map, named(20).collect());
        map.extend((20..20 + count).map(|n| (n.to_string(), n)));
        assert_eq!(map, named(20 + count).collect());
        map.check_invariants();
    }
}

/// Two hashers of one type may have different seeds.
#[test]
fn maps_keep_their_hashers() {
    let (first, second) = (RandomState::new(), RandomState::new());
    let mut a = HashTrieMap::with_hasher(first.clone());
    let mut b = HashTrieMap::with_hasher(second);
    a.extend(named(40));
    b.extend(named(20));
    assert_eq!(a.hasher().hash_one("key"), first.hash_one("key"));
    assert_eq!(a.union(&b).hasher().hash_one("key"), first.hash_one("key"));
    assert_eq!(a.map_values(|_| ()).hasher().hash_one("key"), first.hash_one("key"));
    assert_eq!(a.clone().hasher().hash_one("key"), first.hash_one("key"));
    assert_ne!(b.hasher().hash_one("key"), first.hash_one("key"));
    assert_eq!((a.intersection(&b) == b, b == a), (true, false));
    let plain: Map = Map::new();
    assert_eq!(plain.hasher().hash_one(1), DefaultHashBuilder.hash_one(1));
}

/// A derived map has the hasher of its original, however the original was built.
#[test]
fn related_maps_are_compared_without_hashing() {
    type Map = HashTrieMap<Key, Value, Seeded<64>>;
    let entries = || (0..40).map(|id| (k(id, 0), v(1)));
    let ways: [fn(&mut Map, Key, Value); 4] = [
        |map, key, value| drop(map.insert(key, value)),
        |map, key, value| map.entry(key).or_insert(value).set(1),
        |map, key, value| *map = map.alter(key, |_| Some(value)),
        |map, key, value| map.extend([(key, value)]),
    ];
    let mut maps: Vec<Map> =
        vec![entries().collect(), entries().collect::<HashMap<_, _>>().into_iter().collect()];
    for way in ways {
        let mut map = Map::default();
        entries().for_each(|(key, value)| way(&mut map, key, value));
        maps.push(map);
    }
    for map in maps {
        let ours = map.update(k(50, 0), v(2));
        let theirs = map.map_values(|value| value.clone()).filter(|key, _| key.id() != 3);
        light(Call::Hash, 0);
        assert_eq!((map == ours, ours.diff(&theirs).len()), (false, 2));
        assert_eq!((map.union(&ours).len(), ours.intersection(&theirs).len()), (41, 39));
        assert_eq!((ours.difference(&map).len(), ours.symmetric_difference(&theirs).len()), (1, 2));
        assert_eq!(map.union_with(&theirs, |_, _, value| value.clone()).len(), 40);
        assert_eq!(map.merge(&ours, &theirs, |_| None).len(), 40);
        assert!(put_out(), "nothing has been hashed");
    }
}

/// A leaf of more than 16 keys with one hash becomes shorter, and moves to the root.
#[test]
fn colliding_keys_are_removed_one_by_one() {
    fn remove_all<V: Clone + PartialEq>(keys: u32, value: impl Fn(u32) -> V) {
        let mut map: HashTrieMap<u32, V, Bits<0>> = (0..keys).map(|it| (it, value(it))).collect();
        for removed in 0..keys {
            assert!(map.remove(&removed) == Some(value(removed)));
            assert!((0..keys).all(|it| map.get(&it) == (it > removed).then(|| value(it)).as_ref()));
        }
    }
    for keys in [16, 17, 18, 19, 33] {
        remove_all(keys, |key| key);
        remove_all(keys, |key| key.to_string());
    }
}
