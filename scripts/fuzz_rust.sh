#!/usr/bin/env bash
# Runs programs of all operations of HashTrieMap for CTXVARS_SECONDS (default: 60). cargo-fuzz makes
# the programs if it is installed with a nightly Rust; else they are random.
set -euo pipefail
cd "$(dirname "$0")/.."

export CTXVARS_SECONDS=${CTXVARS_SECONDS:-60}
if fuzzer=$(cargo +nightly fuzz --version 2>/dev/null); then
    echo "fuzzing the target map for $CTXVARS_SECONDS s with $fuzzer, $(rustc +nightly --version)"
    cargo +nightly fuzz run --fuzz-dir fuzz/rust map -- \
        -max_total_time="$CTXVARS_SECONDS" -max_len=1024 -len_control=0 -print_final_stats=1
else
    echo "no cargo-fuzz with a nightly Rust: random programs by proptest for $CTXVARS_SECONDS s"
    # Optimised code with debug assertions.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true \
        cargo test --release --test rust -- map::actions --ignored --nocapture
fi
