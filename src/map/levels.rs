//! The bits of a hash that choose a child at each depth.
//!
//! ```text
//!  depth    0 ..  7   the fragments of the high word of the hash
//!           8 .. 15   those of the low word, if the heap stores it
//!          16 .. 31   those of the rehash, if the heap stores the low word
//! ```
//!
//! If a heap stores the low word, only keys with equal hashes reach depth 16. The rehash
//! ([`Heap::rehash`]) separates these keys. Keys without a rehash, whose equality is decided by user
//! code, stay together in one leaf in front of the others.

use super::hash::{Hash, HighWord, LowWord as _};
use super::heap::Heap;
use super::node::Leaf;
use super::tuning::Shape as _;
use core::marker::PhantomData;
use core::ops::Range;

/// The hash of a key, as a heap stores it.
pub type HashOf<H> = Hash<<H as Heap>::LowWord>;

/// The depths at which each group of bits ends.
pub(crate) struct Levels<H>(PhantomData<H>);

impl<H: Heap> Levels<H> {
    const fn of(bits: u32) -> u32 {
        bits.div_ceil(H::Shape::FRAGMENT_BITS)
    }

    /// From this depth on, all entries of a subtree have the same high word.
    pub(crate) const AFTER_HIGH: u32 = Self::of(HighWord::BITS);

    /// From this depth on, all entries of a subtree have the same hash.
    pub(crate) const AFTER_HASH: u32 = Self::AFTER_HIGH + Self::of(H::LowWord::BITS);

    /// From this depth on, all entries of a subtree have the same hash, and the same rehash or none.
    pub(crate) const AFTER_REHASH: u32 = Self::AFTER_HASH + Self::of(2 * H::LowWord::BITS);
}

/// The slot for `hash` in a branch at `depth`, where bits of the hash remain.
#[inline]
pub(crate) fn fragment<H: Heap>(hash: HashOf<H>, depth: u32) -> usize {
    if depth < Levels::<H>::AFTER_HIGH {
        hash.high.fragment(depth, H::Shape::FRAGMENT_BITS)
    } else {
        let low = HighWord::from_bits(hash.low.bits());
        low.fragment(depth - Levels::<H>::AFTER_HIGH, H::Shape::FRAGMENT_BITS)
    }
}

/// The slot for a key in a branch at `depth`.
#[inline]
pub(crate) fn fragment_of<H: Heap>(hash: HashOf<H>, key: &H::Key, depth: u32) -> usize {
    if depth < Levels::<H>::AFTER_HASH {
        fragment::<H>(hash, depth)
    } else {
        rehash_fragment::<H>(rehash_or_zero::<H>(key), depth)
    }
}

/// The slot for a key with this rehash (or 0) in a branch at `depth`, below the last bit of the hash.
#[inline]
pub(crate) fn rehash_fragment<H: Heap>(word: u64, depth: u32) -> usize {
    let bits = H::Shape::FRAGMENT_BITS;
    ((word << ((depth - Levels::<H>::AFTER_HASH) * bits)) >> (u64::BITS - bits)) as usize
}

/// The sort order of keys with the same hash: the rehash, at least 1, or 0 for a key without one.
#[inline]
pub(crate) fn rehash_or_zero<H: Heap>(key: &H::Key) -> u64 {
    if H::LowWord::BITS == 0 { 0 } else { H::rehash(key).map_or(0, |rehash| rehash.max(1)) }
}

impl<H: Heap> Leaf<'_, H> {
    /// The fragment at `depth` of the entry at `index`.
    #[inline]
    pub(crate) fn fragment(&self, index: usize, depth: u32) -> usize {
        if depth < Levels::<H>::AFTER_HIGH {
            self.highs[index].fragment(depth, H::Shape::FRAGMENT_BITS)
        } else {
            fragment_of::<H>(self.hash(index), &self.entries[index].key, depth)
        }
    }

    /// The first index in a range of entries for whose fragment at `depth` the predicate does not
    /// hold, or the end of the range. The entries for which it holds come first.
    pub(crate) fn partition_point(
        &self,
        range: Range<usize>,
        depth: u32,
        holds: impl Fn(usize) -> bool,
    ) -> usize {
        if depth < Levels::<H>::AFTER_HIGH {
            let bits = H::Shape::FRAGMENT_BITS;
            let part = &self.highs[range.clone()];
            return range.start + part.partition_point(|high| holds(high.fragment(depth, bits)));
        }
        partition_point(range, |index| holds(self.fragment(index, depth)))
    }
}

/// The first index in a range for which the predicate does not hold, or the end of the range. The
/// indices for which it holds come first.
#[inline]
pub(crate) fn partition_point(range: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = range;
    while start < end {
        let middle = start + (end - start) / 2;
        if holds(middle) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}
