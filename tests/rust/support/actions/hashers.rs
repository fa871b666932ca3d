//! Hashers with which a few keys collide in every way, with and without state.

use arbitrary::Arbitrary;
use ctxvars::hash_trie_map::DefaultHashBuilder;
use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Builds hashers without state that keep this many bits; with 0, all keys collide.
///
/// The map mixes these bits, so a few bits give a few different hashes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bits<const KEPT: u32>;

/// As [`Bits`], with state: independent maps hash differently.
#[derive(Clone)]
pub(crate) struct Seeded<const KEPT: u32>(u64);

/// The state of a hasher.
pub(crate) struct Kept {
    hash: u64,
    bits: u32,
}

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Resets the seeds, so that a program runs the same way each time.
pub(crate) fn reset_seeds() {
    SEED.set(0);
}

impl<const KEPT: u32> Default for Seeded<KEPT> {
    fn default() -> Self {
        SEED.set(SEED.get() + 1);
        Self(SEED.get())
    }
}

impl<const KEPT: u32> BuildHasher for Bits<KEPT> {
    type Hasher = Kept;

    fn build_hasher(&self) -> Kept {
        Kept { hash: 0, bits: KEPT }
    }
}

impl<const KEPT: u32> BuildHasher for Seeded<KEPT> {
    type Hasher = Kept;

    fn build_hasher(&self) -> Kept {
        Kept { hash: self.0, bits: KEPT }
    }
}

impl Hasher for Kept {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash.rotate_left(8) ^ u64::from(*byte))
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(23);
        }
    }

    fn finish(&self) -> u64 {
        self.hash.checked_shr(u64::BITS - self.bits).unwrap_or(0)
    }
}

/// The hasher of the maps in a program.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashing {
    Bits0,
    Bits1,
    Bits4,
    Bits64,
    Seeded0,
    Seeded1,
    Seeded4,
    Seeded64,
    Random,
}

impl Hashing {
    pub(crate) const ALL: [Self; 9] = [
        Self::Bits0,
        Self::Bits1,
        Self::Bits4,
        Self::Bits64,
        Self::Seeded0,
        Self::Seeded1,
        Self::Seeded4,
        Self::Seeded64,
        Self::Random,
    ];
}

/// Calls a function that is generic over the hasher with a hasher chosen at run time.
macro_rules! with_hasher {
    ($hashing:expr, $function:ident($($argument:expr),*)) => {
        match $hashing {
            $crate::actions::Hashing::Bits0 => $function::<$crate::actions::Bits<0>>($($argument),*),
            $crate::actions::Hashing::Bits1 => $function::<$crate::actions::Bits<1>>($($argument),*),
            $crate::actions::Hashing::Bits4 => $function::<$crate::actions::Bits<4>>($($argument),*),
            $crate::actions::Hashing::Bits64 => {
                $function::<$crate::actions::Bits<64>>($($argument),*)
            }
            $crate::actions::Hashing::Seeded0 => {
                $function::<$crate::actions::Seeded<0>>($($argument),*)
            }
            $crate::actions::Hashing::Seeded1 => {
                $function::<$crate::actions::Seeded<1>>($($argument),*)
            }
            $crate::actions::Hashing::Seeded4 => {
                $function::<$crate::actions::Seeded<4>>($($argument),*)
            }
            $crate::actions::Hashing::Seeded64 => {
                $function::<$crate::actions::Seeded<64>>($($argument),*)
            }
            $crate::actions::Hashing::Random => {
                $function::<std::hash::RandomState>($($argument),*)
            }
        }
    };
}
pub(crate) use with_hasher;

impl fmt::Display for Hashing {
    /// The type of the hasher, as printed code names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bits0 => "Bits<0>",
            Self::Bits1 => "Bits<1>",
            Self::Bits4 => "Bits<4>",
            Self::Bits64 => "Bits<64>",
            Self::Seeded0 => "Seeded<0>",
            Self::Seeded1 => "Seeded<1>",
            Self::Seeded4 => "Seeded<4>",
            Self::Seeded64 => "Seeded<64>",
            Self::Random => "RandomState",
        })
    }
}

/// A hasher for the maps of a program.
pub(crate) trait Hashes: BuildHasher + Clone + Default {}

impl<const KEPT: u32> Hashes for Bits<KEPT> {}
impl<const KEPT: u32> Hashes for Seeded<KEPT> {}
impl Hashes for RandomState {}
impl Hashes for DefaultHashBuilder {}
