//! Comparing one hash with those of a leaf, four at a time where the processor can.
//!
//! A loop that stops at the right hash makes the processor guess where that is, and it guesses
//! wrong for most keys. Comparing all of them costs less.

#![allow(unsafe_code)] // Uses the vector instructions of the processor.

use super::hash::HighWord;

/// The most hashes that are compared at once: one bit for each.
pub(crate) const MAX_LEN: usize = u32::BITS as usize;

/// Hashes that are compared in one step.
pub(crate) const LANES: usize = 4;

/// Which of at most [`MAX_LEN`] hashes are `hash`, as bits.
#[inline]
pub(crate) fn match_mask(hashes: &[HighWord], hash: HighWord) -> u32 {
    let Some(last) = hashes.last_chunk::<LANES>() else {
        return match_mask_scalar(hashes, hash);
    };
    // What is left over is compared with some of the others for a second time.
    match_mask_padded(hashes, hash) | match_mask_of_lanes(last, hash) << (hashes.len() - LANES)
}

/// As [`match_mask`], for a multiple of [`LANES`]; what is left over is not looked at.
#[inline]
pub(crate) fn match_mask_padded(hashes: &[HighWord], hash: HighWord) -> u32 {
    debug_assert!(hashes.len() <= MAX_LEN);
    let mut found = 0;
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
    // SAFETY: every x86-64 processor has these instructions; hashes are 32 bits without padding,
    // of which there are four, and the load needs no alignment.
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
    fn every_place_of_every_length_is_found() {
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
