//! The hash that a node stores beside each entry.

/// 32 well-mixed bits made from the 64 that a key's hash function returned.
///
/// The trie uses the bits from the top down, a *fragment* at each level, so sorting entries by
/// hash sorts them into the order of the trie: a leaf splits into contiguous ranges, and maps
/// iterate in the order of their hashes.
///
/// ```
/// use ctxvars::hash_trie_map::DefaultHashBuilder;
/// use ctxvars::map::Hash;
/// use std::hash::BuildHasher;
///
/// let hash = |key: &str| Hash::mix(DefaultHashBuilder.hash_one(key));
/// assert_eq!(hash("user"), hash("user"));
/// assert_ne!(hash("user"), hash("lang"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct Hash(u32);

impl Hash {
    /// Bits in a hash; below that depth all entries of a subtree have the same one.
    ///
    /// ```
    /// use ctxvars::map::{Hash, Shape, Tuned};
    ///
    /// assert_eq!(Hash::BITS / Tuned::FRAGMENT_BITS, 8); // levels of branches, at most
    /// ```
    pub const BITS: u32 = u32::BITS;

    /// Stands where a leaf has room for another hash.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// Mixes all 64 bits of `raw` into the 32 that are kept.
    ///
    /// Each bit of a product depends on the bits below it in the factor, so the upper half of one
    /// by an odd number hears of all 64; and no shift of a few bits (`i`, `i << 32`, `i << 52`)
    /// makes keys collide, since the multiplication has an inverse. O(1).
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
    pub const fn mix(raw: u64) -> Self {
        // The fractional part of the golden ratio: odd, and with no pattern in its bits.
        const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
        Self((raw.wrapping_mul(MULTIPLIER) >> 32) as u32)
    }

    /// A hash of exactly these bits, unmixed: for tests that place keys by hand.
    ///
    /// ```
    /// use ctxvars::map::Hash;
    ///
    /// // In slots 2 and 15 of a root of 16.
    /// assert!(Hash::from_bits(0x2B07_0000) < Hash::from_bits(0xF000_0000));
    /// ```
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[inline]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The slot for this hash in a branch at `depth`, where each level uses `bits` bits.
    #[inline]
    pub(crate) const fn fragment(self, depth: u32, bits: u32) -> usize {
        ((self.0 << (depth * bits)) >> (Self::BITS - bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_read_from_the_top_and_order_like_the_hash() {
        let hash = Hash::from_bits(0xA5C3_0F71);
        let fragments: Vec<usize> = (0..8).map(|depth| hash.fragment(depth, 4)).collect();
        assert_eq!(fragments, [0xA, 0x5, 0xC, 0x3, 0x0, 0xF, 0x7, 0x1]);
    }

    #[test]
    fn a_width_that_does_not_divide_the_hash_uses_every_bit() {
        // Six levels of five bits leave two, which are the top of the seventh fragment.
        assert_eq!(Hash::from_bits(0b11).fragment(6, 5), 0b11000);
    }

    #[test]
    fn keys_that_fold_to_one_value_elsewhere_stay_apart() {
        for step in [1_u64, 1 << 32, (1 << 32) + 1, 1 << 44, u64::MAX / 8191] {
            let mut seen: Vec<u32> =
                (0..8000_u64).map(|i| Hash::mix(i.wrapping_mul(step)).0).collect();
            seen.sort_unstable();
            seen.dedup();
            assert!(seen.len() > 7990, "step {step:#x}: only {} of 8000 distinct", seen.len());
        }
    }
}
