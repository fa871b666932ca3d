//! The keys and values of the benchmarks: random, but the same on every run.

use std::hash::Hash;

/// The largest number of keys that are looked up in turn: enough to have no pattern and, at a million
/// entries, to exceed the caches of the processor.
const DRAWN_AT_MOST: usize = 100_000;
const DRAWN_AT_LEAST: usize = 1024;

/// A kind of keys.
pub(crate) trait Key: Clone + Eq + Hash + 'static {
    const KIND: &'static str;

    /// A new key for a number; keys for one number are equal.
    fn of(number: u64) -> Self;

    /// A number that depends on the content of the key, so that the key must be read.
    fn number(&self) -> u64;
}

impl Key for u64 {
    const KIND: &'static str = "u64";

    fn of(number: u64) -> Self {
        scattered(number)
    }

    fn number(&self) -> u64 {
        *self
    }
}

impl Key for String {
    const KIND: &'static str = "String";

    fn of(number: u64) -> Self {
        format!("key_{number}")
    }

    fn number(&self) -> u64 {
        self.len() as u64
    }
}

/// The entries of a map of one size, and the keys to look up.
pub(crate) struct Entries<K> {
    all: Vec<K>,
    /// Stored keys in random order, as new objects. Those of a small map are repeated.
    pub(crate) drawn: Vec<K>,
    /// As many keys that are not stored.
    pub(crate) absent: Vec<K>,
}

impl<K: Key> Entries<K> {
    pub(crate) fn new(size: usize) -> Self {
        let size = size as u64;
        let draws = size.clamp(DRAWN_AT_LEAST as u64, DRAWN_AT_MOST as u64);
        Self {
            all: (0..size).map(K::of).collect(),
            drawn: (0..draws).map(|draw| K::of(scattered(draw) % size)).collect(),
            absent: (0..draws).map(|draw| K::of(size + draw)).collect(),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.all.len() as u64
    }

    /// A random entry of a map.
    pub(crate) fn first(&self) -> (K, u64) {
        (K::of(0), 0)
    }

    pub(crate) fn in_order(&self) -> impl Iterator<Item = (K, u64)> {
        self.all.iter().cloned().zip(0..)
    }

    pub(crate) fn reordered(&self) -> impl Iterator<Item = (K, u64)> {
        let mut entries: Vec<_> = self.in_order().collect();
        entries.sort_by_key(|(_, number)| scattered(*number));
        entries.into_iter()
    }
}

/// A pseudo-random function: the finaliser of SplitMix64.
fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
