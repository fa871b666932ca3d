//! Comparing the fingerprints of all entries of a leaf with one fingerprint, by SIMD instructions.
//!
//! A fingerprint is one byte of a hash. Two different keys of a leaf have the same fingerprint with a
//! probability of 1/256, so the first match is nearly always the key.

#![allow(unsafe_code)] // Calls SIMD intrinsics.

/// The number of fingerprints in a leaf: those of entries, and zeros.
pub(crate) const COUNT: usize = 16;

/// The fingerprints of a leaf.
pub(crate) type Fingerprints = [u8; COUNT];

/// A mask with a bit for each fingerprint that equals `sought`.
#[cfg(all(target_arch = "x86_64", not(no_simd)))]
#[inline]
pub(crate) fn match_mask(fingerprints: &Fingerprints, sought: u8) -> u32 {
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: SSE2 is part of x86-64. The array has the 16 bytes that the unaligned load reads.
    unsafe {
        let all = _mm_loadu_si128(fingerprints.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8(sought as i8))) as u32
    }
}

/// A mask with a bit for each fingerprint that equals `sought`.
#[cfg(all(target_arch = "aarch64", target_endian = "little", not(no_simd)))]
#[inline]
pub(crate) fn match_mask(fingerprints: &Fingerprints, sought: u8) -> u32 {
    use core::arch::aarch64::{
        vaddv_u8, vand_u8, vceqq_u8, vdupq_n_u8, vget_high_u8, vget_low_u8, vld1_u8, vld1q_u8,
    };
    const BITS: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
    // SAFETY: NEON is part of AArch64. The arrays have the 16 and 8 bytes that the loads read.
    unsafe {
        let equal = vceqq_u8(vld1q_u8(fingerprints.as_ptr()), vdupq_n_u8(sought));
        let bits = vld1_u8(BITS.as_ptr());
        // The sum of different powers of two has the bits of all of them.
        let low = vaddv_u8(vand_u8(vget_low_u8(equal), bits));
        let high = vaddv_u8(vand_u8(vget_high_u8(equal), bits));
        u32::from(low) | u32::from(high) << 8
    }
}

/// A mask with a bit for each fingerprint that equals `sought`.
#[cfg(any(
    no_simd,
    not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))
))]
#[inline]
pub(crate) fn match_mask(fingerprints: &Fingerprints, sought: u8) -> u32 {
    portable_match_mask(fingerprints, sought)
}

/// As [`match_mask`], without SIMD instructions: eight bytes at a time.
#[allow(dead_code)] // On some processors, only tests use it.
#[inline]
fn portable_match_mask(fingerprints: &Fingerprints, sought: u8) -> u32 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7F; 8]);
    let mask_of_half = |half: [u8; 8]| {
        let difference = u64::from_le_bytes(half) ^ (ONES * u64::from(sought));
        // The top bit of each byte that is zero. The sum does not carry into the next byte.
        let equal = !(((difference & LOW_BITS) + LOW_BITS) | difference | LOW_BITS);
        // The product moves the bit of byte i to bit 56 + i.
        ((equal >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    };
    let [a, b, c, d, e, f, g, h, low @ ..] = *fingerprints;
    mask_of_half([a, b, c, d, e, f, g, h]) | mask_of_half(low) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(fingerprints: &Fingerprints, sought: u8) -> u32 {
        let equal = fingerprints.iter().enumerate().filter(|&(_, &it)| it == sought);
        equal.map(|(index, _)| 1 << index).sum()
    }

    fn check(fingerprints: &Fingerprints, sought: u8) {
        let mask = expected(fingerprints, sought);
        assert_eq!(match_mask(fingerprints, sought), mask, "{sought} in {fingerprints:?}");
        assert_eq!(portable_match_mask(fingerprints, sought), mask, "{sought}, portable");
    }

    #[test]
    fn each_byte_is_found_in_each_position_beside_each_neighbour() {
        for position in 0..COUNT {
            for byte in 0..=u8::MAX {
                for neighbour in [0, 1, 0x7F, 0x80, 0xFE, 0xFF, byte ^ 1, byte ^ 0x80, byte] {
                    let mut fingerprints = [neighbour; COUNT];
                    fingerprints[position] = byte;
                    check(&fingerprints, byte);
                    check(&fingerprints, neighbour);
                    check(&fingerprints, byte.wrapping_add(1));
                }
            }
        }
    }

    #[test]
    fn random_fingerprints_are_matched() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let fingerprints: Fingerprints = core::array::from_fn(|_| {
                state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                // Few different bytes, so that several match.
                (state >> 60) as u8 | (state >> 40) as u8 & 0x80
            });
            check(&fingerprints, fingerprints[(state % 16) as usize]);
        }
    }
}
