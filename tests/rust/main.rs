//! The tests of the crate, in one binary.

mod architecture;
#[cfg(feature = "carrier")]
mod carrier;
mod context;
mod map;
mod support;

use support::actions; // Its macros name it from the root of the crate, as the fuzzer has it.
