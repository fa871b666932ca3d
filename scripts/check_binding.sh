#!/usr/bin/env bash
# Runs the Python tests that are likeliest to find memory errors on special builds of the extension: with
# AddressSanitizer and debug assertions, without free lists but for the tests of a pool, and in a Python
# that uses malloc only.
#
#     scripts/check_binding.sh .venv/bin/python
#
# The script needs a nightly Rust, and the runtime library of the sanitizer, which comes with gcc.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1
runtime=$(cc -print-file-name=libasan.so)
if ! cargo +nightly --version >/dev/null 2>&1 || [ ! -e "$runtime" ]; then
    echo "skipped: the binding with AddressSanitizer, which needs a nightly Rust and gcc's libasan" >&2
    exit 0
fi

host=$(rustc +nightly --print host-tuple)
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
target=${CARGO_TARGET_DIR:-target}/sanitized
package=$target/python/ctxvars
# Builds the package, with options of rustc.
build() {
    PYO3_PYTHON=$(realpath --no-symlinks "$python") RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address" \
        cargo +nightly rustc --quiet --lib --crate-type cdylib --features python \
        --config profile.dev.opt-level=1 --target "$host" --target-dir "$target" -- "$@"
    rm -rf "$package"
    mkdir -p "$target/python"
    cp -r python/ctxvars "$package"
    rm -f "$package"/_core*.so
    cp "$target/$host/debug/libctxvars.so" "$package/_core$suffix"
}

# Runs tests. Reports go to files, because pytest captures output.
status=0
run() {
    PYTHONPATH=$target/python PYTHONMALLOC=malloc LD_PRELOAD=$runtime \
        ASAN_OPTIONS=detect_leaks=0:max_free_fill_size=4096:log_path=$target/report \
        "$python" -m pytest --quiet -p no:cacheprovider "$@" || status=$?
}

echo "the binding: with AddressSanitizer, $(rustc +nightly --version)"
rm -f "$target"/report.*

# The pool of native contexts is a free list, so its tests and those of hidden contexts need a build with
# free lists.
build
run tests/in_place/test_pool.py tests/in_place/test_hidden.py tests/contextvars/test_frames.py

# Deselected are a test in which the standard library frees a variable before it is initialised, and
# tests of the memory in use, since the sanitizer keeps freed memory for a while.
odd_names=test_odd_names_of_variables_work_as_with_the_standard_library
build --cfg no_free_lists
run tests/gc tests/hostile tests/in_place tests/groups tests/contextvars/test_frames.py \
    tests/map/test_collisions.py tests/isolation/test_hooks.py \
    tests/map/gc/test_gc.py tests/map/gc/test_leaks.py tests/map/gc/test_random.py \
    tests/map/gc/test_weak_references.py tests/map/hostile/test_failing_keys.py \
    tests/map/hostile/test_reentrant.py tests/map/hostile/test_restarts.py \
    tests/interpreter/test_start_and_end.py tests/memory/test_out_of_memory.py \
    tests/threads/test_contention.py \
    --ignore tests/gc/test_drop_depth.py --ignore tests/in_place/test_pool.py \
    --ignore tests/in_place/test_hidden.py \
    --deselect "tests/hostile/test_arguments.py::$odd_names" \
    --deselect tests/gc/test_leaks.py::test_memory_is_flat_over_many_operations \
    --deselect tests/map/gc/test_leaks.py::test_memory_is_flat_over_many_operations

for report in "$target"/report.*; do
    if [ -e "$report" ]; then
        cat "$report"
        status=1
    fi
done
exit $status
