//! Fuzzes programs of all operations of `HashTrieMap`.
//!
//! A failing program is printed as code that reproduces the failure: see `tests/rust/support/actions/source.rs`.

#![no_main]

#[path = "../../../tests/rust/support/actions/mod.rs"]
mod actions;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|program: actions::Program| program.run());
