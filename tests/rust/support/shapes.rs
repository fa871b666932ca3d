//! Shapes and hashes that bring a few keys to every depth of a map, and the keys themselves.

use ctxvars::map::{Hash, LowWord, Shape};
use proptest::prelude::ProptestConfig;

/// One entry to a leaf and one bit to a level: a few keys make deep tries.
pub(crate) enum Binary {}

impl Shape for Binary {
    const FRAGMENT_BITS: u32 = 1;
    const LEAF_CAPACITY: usize = 1;
    const ROOT_LEAF_CAPACITY: usize = 1;
}

/// Three bits to a level do not divide the hash evenly; leaves have room for more.
pub(crate) enum OddBits {}

impl Shape for OddBits {
    const FRAGMENT_BITS: u32 = 3;
    const LEAF_CAPACITY: usize = 2;
    const ROOT_LEAF_CAPACITY: usize = 3;
    const LEAF_STEP: usize = 8;
}

/// Four bits to a level, as a heap needs that keeps whole hashes; leaves hold little and have room
/// for more.
pub(crate) enum Nibbles {}

impl Shape for Nibbles {
    const FRAGMENT_BITS: u32 = 4;
    const LEAF_CAPACITY: usize = 2;
    const ROOT_LEAF_CAPACITY: usize = 3;
    const LEAF_STEP: usize = 4;
}

/// How many bits of the hash are in use: 0 for all keys in collision, 32 for as shipped. Up to 32
/// they are bits of the high word, and the low word is always the same; the others are bits of the low
/// word, and the high word is.
pub(crate) const BITS: [u32; 7] = [0, 1, 4, 8, 32, 40, 64];

/// Keys are the same if they differ by a multiple of this: so a test can tell which one of them
/// is in a map.
pub(crate) const COPY: u32 = 1 << 20;

/// What the copies of one key have in common.
pub(crate) const fn id(key: u32) -> u32 {
    key % COPY
}

/// A hash with only some of its bits in use.
pub(crate) fn hash<L: LowWord>(key: u32, bits: u32) -> Hash<L> {
    let mixed = id(key).wrapping_mul(0x9E37_79B1);
    // Half of the bits at the top, half at the bottom, so that splits run deep.
    let some = |bits: u32| (mixed >> (32 - bits)).rotate_right(bits / 2);
    match bits {
        0 => Hash::from_words(7, 7),
        32 => Hash::mix(u64::from(id(key))),
        1..32 => Hash::from_words(some(bits), 7),
        64.. => Hash::from_words(7, mixed),
        bits => Hash::from_words(7, some(bits - 32)),
    }
}

/// How long the longer lists of entries and edits get; interpreters are slow.
pub(crate) const MANY: usize = if cfg!(miri) { 8 } else { 60 };

/// Tries this many programs, or as many as `PROPTEST_CASES` asks for: sanitizers are slow.
pub(crate) fn cases(count: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return asked;
    }
    ProptestConfig { cases: count, ..asked }
}
