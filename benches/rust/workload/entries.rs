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

/// The distance between the first numbers of two key sets.
const NEXT_SET: u64 = 10_000;

/// The entries of a map of one size, and the keys to look up.
pub(crate) struct Entries<K> {
    /// The number of the first key.
    start: u64,
    all: Vec<K>,
    /// Stored keys in random order, as new objects. Those of a small map are repeated.
    pub(crate) drawn: Vec<K>,
    /// As many keys that are not stored.
    pub(crate) absent: Vec<K>,
}

impl<K: Key> Entries<K> {
    /// Entries with the keys of a set; sets have different keys.
    pub(crate) fn new(size: usize, set: u64) -> Self {
        let (size, start) = (size as u64, set * NEXT_SET);
        let draws = size.clamp(DRAWN_AT_LEAST as u64, DRAWN_AT_MOST as u64);
        let key = |number: u64| K::of(start + number);
        Self {
            start,
            all: (0..size).map(key).collect(),
            drawn: (0..draws).map(|draw| key(scattered(draw) % size)).collect(),
            absent: (0..draws).map(|draw| key(size + draw)).collect(),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.all.len() as u64
    }

    /// A random entry of a map.
    pub(crate) fn first(&self) -> (K, u64) {
        (K::of(self.start), 0)
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
