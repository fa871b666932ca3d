//! Shapes and hashes with which a few keys reach every depth of a map.

use ctxvars::map::{Hash, LowWord, Shape};
use proptest::prelude::ProptestConfig;

/// One entry in a leaf and one bit for a level, so that a few keys make a deep trie.
pub(crate) enum Binary {}

impl Shape for Binary {
    const FRAGMENT_BITS: u32 = 1;
    const LEAF_CAPACITY: usize = 1;
    const ROOT_LEAF_CAPACITY: usize = 1;
}

/// Three bits for a level, which do not divide 32; leaves have unused room, fingerprints and spans.
pub(crate) enum OddBits {}

impl Shape for OddBits {
    const FRAGMENT_BITS: u32 = 3;
    const LEAF_CAPACITY: usize = 2;
    const ROOT_LEAF_CAPACITY: usize = 3;
    const GROWTH_STEP: usize = 4;
    const FINGERPRINTS: bool = true;
    const SPANS: bool = true;
}

/// Four bits for a level, as heaps that store whole hashes need; small leaves with unused room and
/// fingerprints.
pub(crate) enum Nibbles {}

impl Shape for Nibbles {
    const FRAGMENT_BITS: u32 = 4;
    const LEAF_CAPACITY: usize = 2;
    const ROOT_LEAF_CAPACITY: usize = 3;
    const GROWTH_STEP: usize = 2;
    const FINGERPRINTS: bool = true;
}

/// Four bits for a level and spans: leaves of the capacity of those of Rust programs split as deep.
pub(crate) enum Spans {}

impl Shape for Spans {
    const FRAGMENT_BITS: u32 = 4;
    const LEAF_CAPACITY: usize = 5;
    const ROOT_LEAF_CAPACITY: usize = 5;
    const SPANS: bool = true;
}

/// Leaves of more entries than there are fingerprints, and spans.
pub(crate) enum LongLeaves {}

impl Shape for LongLeaves {
    const FRAGMENT_BITS: u32 = 2;
    const LEAF_CAPACITY: usize = 40;
    const ROOT_LEAF_CAPACITY: usize = 20;
    const GROWTH_STEP: usize = 4;
    const FINGERPRINTS: bool = true;
    const SPANS: bool = true;
}

/// The numbers of hash bits in use. With 0, all keys collide; 32 is the real hash. Up to 32, these are
/// bits of the high word, and the low word is constant. Above, these are bits of the low word, and the
/// high word is constant.
pub(crate) const BITS: [u32; 7] = [0, 1, 4, 8, 32, 40, 64];

/// Two keys are the same key if they differ by a multiple of this. So a test can check which copy of a
/// key is stored.
pub(crate) const COPY: u32 = 1 << 20;

/// The id of a key, which all its copies share.
pub(crate) const fn id(key: u32) -> u32 {
    key % COPY
}

/// A hash with only some of its bits in use.
pub(crate) fn hash<L: LowWord>(key: u32, bits: u32) -> Hash<L> {
    let mixed = id(key).wrapping_mul(0x9E37_79B1);
    // Half of the bits at the top, half at the bottom, so that tries are deep.
    let some = |bits: u32| (mixed >> (32 - bits)).rotate_right(bits / 2);
    match bits {
        0 => Hash::from_words(7, 7),
        32 => Hash::mix(u64::from(id(key))),
        1..32 => Hash::from_words(some(bits), 7),
        64.. => Hash::from_words(7, mixed),
        bits => Hash::from_words(7, some(bits - 32)),
    }
}

/// The length of the longer lists of entries and edits. Miri is slow.
pub(crate) const MANY: usize = if cfg!(miri) { 8 } else { 60 };

/// The number of programs to try; `PROPTEST_CASES` overrides it, because sanitizers are slow.
pub(crate) fn cases(count: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return asked;
    }
    ProptestConfig { cases: count, ..asked }
}
