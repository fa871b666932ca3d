#!/usr/bin/env bash
# Runs the Python tests that are likeliest to find memory errors on a special build of the extension: with
# AddressSanitizer and debug assertions, without free lists, and in a Python that uses malloc only.
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
target=${CARGO_TARGET_DIR:-target}/sanitized
package=$target/python/ctxvars
PYO3_PYTHON=$(realpath --no-symlinks "$python") RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address" \
    cargo +nightly rustc --quiet --lib --crate-type cdylib --features python \
    --config profile.dev.opt-level=1 --target "$host" --target-dir "$target" -- --cfg no_free_lists
rm -rf "$package"
mkdir -p "$target/python"
cp -r python/ctxvars "$package"
rm -f "$package"/_core*.so
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
cp "$target/$host/debug/libctxvars.so" "$package/_core$suffix"

# Deselected are a test in which the standard library frees a variable before it is initialised, and
# tests of the memory in use, since the sanitizer keeps freed memory for a while. Reports go to files,
# because pytest captures output.
echo "the binding: with AddressSanitizer, $(rustc +nightly --version)"
rm -f "$target"/report.*
odd_names=test_odd_names_of_variables_work_as_with_the_standard_library
status=0
PYTHONPATH=$target/python PYTHONMALLOC=malloc LD_PRELOAD=$runtime \
    ASAN_OPTIONS=detect_leaks=0:max_free_fill_size=4096:log_path=$target/report \
    "$python" -m pytest --quiet -p no:cacheprovider \
    tests/gc tests/hostile tests/in_place tests/groups \
    tests/map/test_collisions.py tests/isolation/test_hooks.py \
    tests/map/gc/test_gc.py tests/map/gc/test_leaks.py tests/map/gc/test_random.py \
    tests/map/gc/test_weak_references.py tests/map/hostile/test_failing_keys.py \
    tests/map/hostile/test_reentrant.py tests/map/hostile/test_restarts.py \
    tests/interpreter/test_start_and_end.py tests/memory/test_out_of_memory.py \
    tests/threads/test_contention.py --ignore tests/gc/test_drop_depth.py \
    --deselect "tests/hostile/test_arguments.py::$odd_names" \
    --deselect tests/gc/test_leaks.py::test_memory_is_flat_over_many_operations \
    --deselect tests/map/gc/test_leaks.py::test_memory_is_flat_over_many_operations || status=$?
for report in "$target"/report.*; do
    if [ -e "$report" ]; then
        cat "$report"
        status=1
    fi
done
exit $status
