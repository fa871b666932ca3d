//! The hash of a key, as leaves store it.

use core::fmt::Debug;

/// A well-mixed hash, made from the 64 bits that a key's hash function returned.
///
/// Its upper 32 bits, the *high word*, are stored with each entry. Its lower 32 bits, the *low word*,
/// are stored only if [`Heap::LowWord`](super::Heap::LowWord) is `u32`, not `()`.
///
/// The trie uses the bits from the top down, a *fragment* at each level. So the order of hashes is
/// the order of the trie: a leaf splits into contiguous ranges, and maps iterate in the order of
/// their hashes.
///
/// ```
/// use ctxvars::hash_trie_map::DefaultHashBuilder;
/// use ctxvars::map::Hash;
/// use std::hash::BuildHasher;
///
/// let hash = |key: &str| -> Hash { Hash::mix(DefaultHashBuilder.hash_one(key)) };
/// assert_eq!(hash("user"), hash("user"));
/// assert_ne!(hash("user"), hash("lang"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Hash<L = ()> {
    pub(crate) high: HighWord,
    pub(crate) low: L,
}

/// The upper half of a hash. A search in a leaf compares these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub(crate) struct HighWord(u32);

/// The stored part of the lower half of a hash: nothing (`()`), or all of it (`u32`).
///
/// ```
/// use ctxvars::map::{Hash, LowWord};
///
/// fn distinct<L: LowWord>(raw: impl Iterator<Item = u64>) -> usize {
///     let mut hashes: Vec<Hash<L>> = raw.map(Hash::mix).collect();
///     hashes.sort_unstable();
///     hashes.dedup();
///     hashes.len()
/// }
///
/// // Multiples of the inverse of the multiplier differ in the lower half only.
/// let raw = || (0..100_u64).map(|n| n.wrapping_mul(0xF1DE_83E1_9937_733D));
/// assert_eq!((distinct::<()>(raw()), distinct::<u32>(raw())), (1, 100));
/// ```
pub trait LowWord: Copy + Ord + Debug + sealed::Sealed {
    /// The number of stored bits, 0 or 32.
    const BITS: u32;

    /// The stored part of `half`.
    fn of(half: u32) -> Self;

    /// The stored bits, or 0.
    fn bits(self) -> u32;
}

mod sealed {
    /// The trie supports these two types only.
    pub trait Sealed {}

    impl Sealed for () {}
    impl Sealed for u32 {}
}

impl LowWord for () {
    const BITS: u32 = 0;

    #[inline]
    fn of(_: u32) {}

    #[inline]
    fn bits(self) -> u32 {
        0
    }
}

impl LowWord for u32 {
    const BITS: u32 = u32::BITS;

    #[inline]
    fn of(half: u32) -> Self {
        half
    }

    #[inline]
    fn bits(self) -> u32 {
        self
    }
}

impl<L: LowWord> Hash<L> {
    /// Mixes the 64 bits of `raw`.
    ///
    /// The hash is the product of `raw` and an odd constant. Multiplication by an odd number is
    /// invertible, so different raw hashes have different hashes, if both words are stored. Each bit
    /// of a product depends on the bits of the factor at and below its position. So the high word
    /// depends on all 64 bits, and regular raw hashes (`i`, `i << 32`, `i << 52`) do not collide in
    /// it. An attacker can choose raw hashes that do. O(1).
    ///
    /// ```
    /// use ctxvars::map::Hash;
    ///
    /// let mut hashes: Vec<Hash> = (0..1000).map(|i| Hash::mix(i << 32)).collect();
    /// hashes.sort_unstable();
    /// hashes.dedup();
    /// assert_eq!(hashes.len(), 1000);
    /// ```
    #[inline]
    pub fn mix(raw: u64) -> Self {
        // The fractional part of the golden ratio: odd, and with no pattern in its bits.
        const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
        let product = raw.wrapping_mul(MULTIPLIER);
        Self { high: HighWord((product >> 32) as u32), low: L::of(product as u32) }
    }

    /// A hash of these two words, unmixed, for tests that choose the position of a key.
    ///
    /// ```
    /// use ctxvars::map::Hash;
    ///
    /// assert!(Hash::<u32>::from_words(7, 1) < Hash::from_words(7, 2));
    /// ```
    #[inline]
    pub fn from_words(high: u32, low: u32) -> Self {
        Self { high: HighWord(high), low: L::of(low) }
    }
}

impl Hash {
    /// A hash of these bits, unmixed, for heaps that store the high word only.
    ///
    /// ```
    /// use ctxvars::map::Hash;
    ///
    /// // In slots 2 and 15 of a root of 16.
    /// assert!(Hash::from_bits(0x2B07_0000) < Hash::from_bits(0xF000_0000));
    /// ```
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self { high: HighWord(bits), low: () }
    }
}

impl HighWord {
    /// The number of bits in the word.
    pub(crate) const BITS: u32 = u32::BITS;

    /// A word of these bits.
    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[inline]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The byte that represents the word in the fingerprints of a leaf: the bits that choose a child
    /// last, so that entries of one leaf differ in them.
    #[inline]
    pub(crate) const fn fingerprint(self) -> u8 {
        self.0 as u8
    }

    /// The slot for this word in a branch at `depth`, where each level uses `bits` bits.
    #[inline]
    pub(crate) const fn fragment(self, depth: u32, bits: u32) -> usize {
        ((self.0 << (depth * bits)) >> (Self::BITS - bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_start_at_the_top_bits() {
        let hash = HighWord::from_bits(0xA5C3_0F71);
        let fragments: Vec<usize> = (0..8).map(|depth| hash.fragment(depth, 4)).collect();
        assert_eq!(fragments, [0xA, 0x5, 0xC, 0x3, 0x0, 0xF, 0x7, 0x1]);
    }

    #[test]
    fn a_width_that_does_not_divide_the_hash_uses_every_bit() {
        // Six levels of five bits leave two, which are the top of the seventh fragment.
        assert_eq!(HighWord::from_bits(0b11).fragment(6, 5), 0b11000);
    }

    #[test]
    fn different_raw_hashes_have_different_hashes() {
        // Raw hashes whose products differ in the low word only.
        let inverse: u64 = 0xF1DE_83E1_9937_733D;
        let raw = |low: u64| (7_u64 << 32 | low).wrapping_mul(inverse);
        let hashes: Vec<Hash<u32>> = (0..1000).map(|low| Hash::mix(raw(low))).collect();
        assert!(hashes.iter().all(|hash| hash.high == HighWord(7)));
        assert!(hashes.is_sorted() && hashes.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn multiples_of_regular_steps_rarely_collide() {
        for step in [1_u64, 1 << 32, (1 << 32) + 1, 1 << 44, u64::MAX / 8191] {
            let mut seen: Vec<u32> =
                (0..8000_u64).map(|i| Hash::<()>::mix(i.wrapping_mul(step)).high.0).collect();
            seen.sort_unstable();
            seen.dedup();
            assert!(seen.len() > 7990, "step {step:#x}: only {} of 8000 distinct", seen.len());
        }
    }
}
