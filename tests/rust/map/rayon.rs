//! The feature `rayon`: parallel iterators yield the same entries as sequential ones.

use crate::support::actions::{Bits, Hashes};
use ctxvars::hash_trie_map::{DefaultHashBuilder, HashTrieMap};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sizes: empty, leaves, the smallest tree, and trees that are split among threads.
const SIZES: &[u32] =
    if cfg!(miri) { &[0, 1, 16, 17] } else { &[0, 1, 16, 17, 256, 257, 1000, 100_000] };

/// Smaller sizes for maps in which all keys collide, because these compare key by key.
const COLLIDING: u32 = 300;

fn each_entry_is_seen_once<S: Hashes + Sync>(count: u32) {
    let map: HashTrieMap<u32, u32, S> = (0..count).map(|n| (n, n + 1)).collect();
    let seen: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    map.par_iter().for_each(|(&key, &value)| {
        assert_eq!(value, key + 1);
        seen[key as usize].fetch_add(1, Ordering::Relaxed);
    });
    assert!(seen.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{count} entries");
    let mut found: Vec<u32> = map.par_iter().map(|(key, _)| *key).collect();
    assert_eq!(found, map.keys().copied().collect::<Vec<_>>(), "in the order of `iter`");
    found.sort_unstable();
    assert!(found.into_iter().eq(0..count));
}

fn a_map_made_in_parallel_is_the_same<S: Hashes + Sync>(count: u32) {
    // Each key occurs twice: the first key stays, with the last value.
    let entry = |n: u32| (n % count.max(1), n);
    let one_by_one: HashTrieMap<u32, u32, S> = (0..2 * count).map(entry).collect();
    let parallel: HashTrieMap<u32, u32, S> = (0..2 * count).into_par_iter().map(entry).collect();
    parallel.check_invariants();
    assert_eq!(parallel.len(), count as usize);
    assert!(parallel == one_by_one);
    assert!(parallel.iter().all(|(&key, &value)| value == key + count));

    let mut extended = one_by_one.clone();
    extended.par_extend((count / 2..2 * count).into_par_iter().map(|n| (n, 0)));
    extended.check_invariants();
    assert_eq!(extended.len(), 2 * count as usize);
    let changed = extended.par_iter().filter(|(_, value)| **value == 0).count();
    assert_eq!(changed, (2 * count - count / 2) as usize);
}

#[test]
fn parallel_iterators_yield_each_entry_once() {
    for &count in SIZES {
        each_entry_is_seen_once::<Bits<64>>(count);
        each_entry_is_seen_once::<DefaultHashBuilder>(count);
        each_entry_is_seen_once::<std::hash::RandomState>(count);
        each_entry_is_seen_once::<Bits<4>>(count.min(COLLIDING));
        each_entry_is_seen_once::<Bits<1>>(count.min(COLLIDING));
        each_entry_is_seen_once::<Bits<0>>(count.min(COLLIDING));
    }
}

#[test]
fn maps_are_collected_in_parallel() {
    for &count in SIZES {
        a_map_made_in_parallel_is_the_same::<Bits<64>>(count);
        a_map_made_in_parallel_is_the_same::<std::hash::RandomState>(count);
        a_map_made_in_parallel_is_the_same::<Bits<4>>(count.min(COLLIDING));
        a_map_made_in_parallel_is_the_same::<Bits<0>>(count.min(COLLIDING));
    }
}

/// Checks that several threads take part.
#[test]
#[cfg_attr(miri, ignore)]
fn a_large_map_is_split_among_threads() {
    let map: HashTrieMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("threads start");
    let parts = pool.install(|| map.par_iter().fold(|| 0, |sum, _| sum + 1).collect::<Vec<u32>>());
    assert!(parts.len() > 1, "all in one part");
    assert_eq!(parts.iter().sum::<u32>(), 100_000);
}
