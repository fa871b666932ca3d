//! Programs of all operations of `HashTrieMap`, as the fuzzer makes them up.
//!
//! A program that fails is printed as code that runs: see `tests/rust/support/actions/source.rs`.

#![no_main]

#[path = "../../../tests/rust/support/actions/mod.rs"]
mod actions;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|program: actions::Program| program.run());
