//! Comparing one hash with all hashes of a leaf, four at a time with SIMD instructions.
//!
//! An early exit from a loop is mispredicted for most keys. Comparing all hashes is cheaper.

#![allow(unsafe_code)] // Calls SIMD intrinsics.

use super::hash::HighWord;

/// The longest slice that one mask has bits for.
pub(crate) const MAX_LEN: usize = u32::BITS as usize;

/// The number of hashes in a SIMD register.
const LANES: usize = 4;

/// A mask with a bit for each of at most [`MAX_LEN`] hashes that equals `hash`.
#[inline]
pub(crate) fn match_mask(hashes: &[HighWord], hash: HighWord) -> u32 {
    debug_assert!(hashes.len() <= MAX_LEN);
    let Some(last) = hashes.last_chunk::<LANES>() else {
        return match_mask_scalar(hashes, hash);
    };
    // The last four hashes overlap with the ones before, unless the length is a multiple of four.
    let mut found = match_mask_of_lanes(last, hash) << (hashes.len() - LANES);
    let (mut rest, mut place) = (hashes, 0);
    while let Some((step, after)) = rest.split_first_chunk::<LANES>() {
        found |= match_mask_of_lanes(step, hash) << place;
        (rest, place) = (after, place + LANES);
    }
    found
}

#[inline]
fn match_mask_scalar(hashes: &[HighWord], hash: HighWord) -> u32 {
    hashes.iter().enumerate().fold(0, |found, (index, &it)| found | u32::from(it == hash) << index)
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn match_mask_of_lanes(hashes: &[HighWord; LANES], hash: HighWord) -> u32 {
    use core::arch::x86_64::{
        _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_ps, _mm_set1_epi32,
    };
    // SAFETY: SSE2 is part of x86-64. The array has four words of 32 bits without padding, which is
    // what the unaligned load reads.
    unsafe {
        let four = _mm_loadu_si128(hashes.as_ptr().cast());
        let equal = _mm_cmpeq_epi32(four, _mm_set1_epi32(hash.bits() as i32));
        _mm_movemask_ps(_mm_castsi128_ps(equal)) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn match_mask_of_lanes(hashes: &[HighWord; LANES], hash: HighWord) -> u32 {
    match_mask_scalar(hashes, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_position_at_every_length() {
        for len in 0..=MAX_LEN {
            let hashes: Vec<HighWord> =
                (0..len as u32).map(|it| HighWord::from_bits(it / 2)).collect();
            for it in 0..len as u32 {
                let hash = HighWord::from_bits(it / 2);
                assert_eq!(
                    match_mask(&hashes, hash),
                    match_mask_scalar(&hashes, hash),
                    "{len} {it}"
                );
            }
            assert_eq!(match_mask(&hashes, HighWord::from_bits(u32::MAX)), 0);
        }
    }
}
