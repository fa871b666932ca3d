#!/usr/bin/env bash
# Runs the Rust tests under AddressSanitizer and LeakSanitizer, which need a nightly Rust, or else under
# valgrind.
#
# PROPTEST_CASES sets how many random programs each test tries (default: 8).
set -euo pipefail
cd "$(dirname "$0")/.."

export PROPTEST_CASES=${PROPTEST_CASES:-8}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

arguments=(--features "serde,rayon" --quiet --test rust)
# Where `drop` panics, Rust itself leaks what the function was about to return. What a thread sets
# while it ends, after its context is gone, is leaked, and so is what is read while the process ends:
# the documentation says why.
filters=(--)
for leaking in panic_of_drop a_drop_panics destructors_of_other_thread_locals exit_does_not_drop; do
    filters+=(--skip "$leaking")
done

if cargo +nightly --version >/dev/null 2>&1; then
    tool="AddressSanitizer and LeakSanitizer, $(rustc +nightly --version)"
    host=$(rustc +nightly --print host-tuple)
    run() {
        RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address" ASAN_OPTIONS=detect_leaks=1 \
            cargo +nightly test --target "$host" "${arguments[@]}" "${filters[@]}"
    }
elif command -v valgrind >/dev/null; then
    tool="$(valgrind --version)"
    host=$(rustc --version --verbose | sed -n 's/^host: //p')
    runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER
    run() {
        env "$runner=valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite \
            --show-leak-kinds=definite --error-exitcode=99 --fair-sched=yes" \
            cargo test "${arguments[@]}" "${filters[@]}"
    }
else
    echo "to check memory, install a nightly Rust (rustup toolchain install nightly) or valgrind" >&2
    exit 1
fi

echo "The Rust tests: with $tool, $PROPTEST_CASES random programs each"
run 2>&1 | tee "$log"
passed=$(awk '/^test result: ok/ { passed += $4 } END { print passed }' "$log")
echo "$passed tests found no memory errors, with $tool"
