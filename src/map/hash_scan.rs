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

/// The most hashes that [`match_mask_of_few`] compares.
pub(crate) const FEW: usize = 16;

/// As [`match_mask`], for 1 to [`FEW`] hashes. Up to eight, no instruction depends on their number, so
/// none is mispredicted because of it.
///
/// # Safety
///
/// `len` hashes can be read from `hashes`. If there are fewer than [`LANES`], the bytes of [`LANES`]
/// hashes can be read all the same, and are initialised.
#[inline(always)] // As the look-up that calls it.
pub(crate) unsafe fn match_mask_of_few(hashes: *const HighWord, len: usize, hash: HighWord) -> u32 {
    debug_assert!(0 < len && len <= FEW);
    // A mask for the four hashes from `start` on.
    // SAFETY: the ranges below are inside the `len` hashes, or the bytes of four can be read.
    let four = |start| unsafe { match_mask_at(hashes.add(start), hash) << start };
    // The last four hashes, which overlap with the others; or the first four once more.
    let last = len.saturating_sub(LANES);
    let mut found = four(0) | four(last);
    if len > 2 * LANES {
        found |= four(LANES) | four(last - LANES);
    }
    found & ((1 << len) - 1)
}

/// A mask with a bit for each of the four hashes at this address that equals `hash`.
///
/// # Safety
///
/// The bytes of [`LANES`] hashes can be read, and are initialised.
#[inline(always)]
unsafe fn match_mask_at(hashes: *const HighWord, hash: HighWord) -> u32 {
    // SAFETY: the bytes are initialised, and an array of numbers may have any bits. A read without a
    // reference does not need an alignment.
    let four = unsafe { hashes.cast::<[HighWord; LANES]>().read_unaligned() };
    match_mask_of_lanes(&four, hash)
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

    #[test]
    fn few_hashes_are_found_and_what_follows_them_is_not() {
        for len in 1..=FEW {
            // What follows equals the first hash.
            let hashes: Vec<HighWord> =
                (0..2 * FEW).map(|it| HighWord::from_bits(it as u32 % len as u32 / 2)).collect();
            for sought in 0..=len as u32 {
                let hash = HighWord::from_bits(sought);
                // SAFETY: there are more hashes than the function may read.
                let mask = unsafe { match_mask_of_few(hashes.as_ptr(), len, hash) };
                assert_eq!(mask, match_mask_scalar(&hashes[..len], hash), "{sought} of {len}");
            }
        }
    }
}
