//! The bounds of maps: reading and building need no `Clone`, so they work with all keys and values.

use ctxvars::HashTrieMap;
use ctxvars::hash_trie_map::{DefaultHashBuilder, Entry, IntoIter, Iter, Keys, OccupiedEntry};
use ctxvars::map::{ArcHeap, Trie};
use std::hash::{DefaultHasher, Hash, Hasher, RandomState};

/// A key or a value that cannot be cloned.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Solid(u32);

/// The derived traits bound `K` and `V` by themselves only.
#[derive(Default, Debug, Clone, PartialEq, Eq, Hash)]
struct Wrapper<K: Eq + Hash, V>(HashTrieMap<K, V>);

/// A struct that holds maps and iterators repeats no bounds.
#[derive(Default)]
#[allow(dead_code)] // Only its definition matters.
struct Holder<'a, K, V> {
    map: HashTrieMap<K, V>,
    trie: Trie<ArcHeap<K, V>>,
    iter: Option<Iter<'a, K, V>>,
    keys: Option<Keys<'a, K, V>>,
    entries: Option<IntoIter<K, V>>,
    entry: Option<Entry<'a, K, V>>,
    occupied: Option<OccupiedEntry<'a, K, V>>,
}

fn solid(count: u32) -> impl Iterator<Item = (Solid, Solid)> {
    (0..count).map(|n| (Solid(n), Solid(n * n)))
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_type_with_a_map_derives_the_standard_traits() {
    let wrapper: Wrapper<Solid, Solid> = Wrapper(solid(100).collect());
    let empty = Wrapper::<Solid, Solid>(HashTrieMap::default());
    assert_ne!(wrapper, empty);
    assert_eq!(format!("{empty:?}"), "Wrapper({})");
    assert_eq!(hash_of(&wrapper), hash_of(&Wrapper(solid(100).collect())));
    assert_eq!(Wrapper::<u8, u8>::default().clone(), Wrapper(HashTrieMap::new()));
    assert!(Holder::<'_, u8, u8>::default().map.is_empty());
}

#[test]
fn a_map_of_values_without_clone_is_built_and_read() {
    for count in [0, 1, 16, 17, 1000] {
        let map: HashTrieMap<Solid, Solid> = solid(count).collect();
        map.check_invariants();
        assert_eq!(map.len(), count as usize);
        assert!(solid(count).all(|(key, value)| map.get(&key) == Some(&value)));
        assert!(solid(count).all(|(key, value)| map[&key] == value));
        assert!(!map.contains_key(&Solid(count)));
        assert!(map.iter().all(|(key, value)| value.0 == key.0 * key.0));
        assert_eq!((map.keys().len(), map.values().count()), (map.len(), map.len()));
        let copy = map.clone();
        assert!(copy.ptr_eq(&map) && copy == map);
        assert_eq!(map, solid(count).collect());
        assert_eq!(count > 0, map != solid(count.saturating_sub(1)).collect());
        let rehashed: HashTrieMap<Solid, Solid, RandomState> = solid(count).collect();
        assert!(map.iter().all(|(key, value)| rehashed.get(key) == Some(value)));
    }
}

#[test]
fn a_map_of_values_without_clone_is_dropped_or_cleared() {
    let mut map: HashTrieMap<Solid, Solid> = solid(50).collect();
    let copy = map.clone();
    map.clear();
    assert_eq!((map.len(), copy.len()), (0, 50));
    let hasher: &DefaultHashBuilder = copy.hasher();
    assert_eq!(format!("{hasher:?}"), "DefaultHashBuilder");
}

#[test]
fn derived_maps_may_have_values_without_clone() {
    let numbers: HashTrieMap<u32, u32> = (0..40).map(|n| (n, n)).collect();
    let solid = numbers.map_values(|n| Solid(*n));
    assert!(solid.iter().all(|(key, value)| value.0 == *key));
    let common = numbers.intersection_with(&solid, |_, n, value| Solid(n + value.0));
    assert_eq!(common[&3], Solid(6));
}
