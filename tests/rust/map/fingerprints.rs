//! Look-ups of keys whose fingerprints, the last bytes of their hashes, are equal, zero or too many.

use crate::support::shapes::{LongLeaves, Nibbles};
use ctxvars::map::{ArcHeap, Hash, Shape, ShapeFor, Trie};
use std::convert::Infallible;

/// The number of keys of a map, and of missing keys. Miri is slow.
const KEYS: u32 = if cfg!(miri) { 18 } else { 40 };

type Map<S> = Trie<ArcHeap<u32, u32, (), Infallible, S>>;

fn is_found<S: Shape>(map: &Map<S>, hash: u32, key: u32) -> bool {
    let Ok(found) = map.get(Hash::from_bits(hash), |stored: &u32| Ok(*stored == key));
    found.is_some()
}

fn check<S: Shape>(map: &Map<S>, hash: fn(u32) -> u32, len: u32) {
    map.check_invariants();
    for key in 0..2 * KEYS {
        assert_eq!(is_found(map, hash(key), key), key < len, "key {key} of {len}");
        // A missing key with another hash.
        assert!(!is_found(map, hash(key) ^ 1, key + 2 * KEYS));
    }
}

/// Inserts the keys and removes them, in place and, if `shared`, in copies.
fn insert_and_remove<S: Shape>(hash: fn(u32) -> u32, shared: bool) {
    let mut map = Map::<S>::new();
    for key in 0..KEYS {
        let before = shared.then(|| map.clone());
        let Ok(_) = map.insert(Hash::from_bits(hash(key)), key, key, |new, old| Ok(new == old));
        check(&map, hash, key + 1);
        before.iter().for_each(|before| check(before, hash, key));
    }
    for key in (0..KEYS).rev() {
        let before = shared.then(|| map.clone());
        let Ok(_) = map.remove(Hash::from_bits(hash(key)), |stored: &u32| Ok(*stored == key));
        check(&map, hash, key);
        before.iter().for_each(|before| check(before, hash, key + 1));
    }
}

fn in_each_shape(hash: fn(u32) -> u32) {
    for shared in [false, true] {
        insert_and_remove::<ShapeFor<u32, u32>>(hash, shared);
        insert_and_remove::<Nibbles>(hash, shared);
        insert_and_remove::<LongLeaves>(hash, shared);
    }
}

#[test]
fn a_fingerprint_of_zero_is_not_found_in_unused_places() {
    in_each_shape(|key| key << 8);
    in_each_shape(|key| key.wrapping_mul(0x9E37_79B1) & !0xFF);
}

#[test]
fn the_second_key_with_a_fingerprint_is_found() {
    in_each_shape(|key| key << 8 | 7);
    in_each_shape(|key| key.wrapping_mul(0x9E37_79B1) & !0xFF | (key % 2));
}

#[test]
fn keys_with_one_hash_are_found_in_a_leaf_of_more_than_16() {
    in_each_shape(|_| 7);
    in_each_shape(|_| 0);
}

#[test]
fn keys_with_different_fingerprints_are_found_in_a_leaf_of_more_than_16() {
    in_each_shape(|key| key);
}
