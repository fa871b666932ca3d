#!/bin/sh
# Builds a wheel for an interpreter, installs it into a new environment, and runs pytest there: on all
# tests and on the foreign suites, or with the given arguments.
#
#     scripts/test_wheel.sh python3.15 DIRECTORY [argument of pytest] ...
#
# Build products stay in DIRECTORY, because wheels for several interpreters are built at the same time.
# The build in the checkout is for the default interpreter, whose maturin builds all wheels.
set -eux

python=$1 directory=$2
shift 2
cd "$(dirname "$0")/.."
rm -rf "$directory/venv" "$directory/wheels"
"$python" -m venv "$directory/venv"
own=$directory/venv/bin/python
"$own" -m pip install --quiet --upgrade pip
"$own" -m pip install --quiet --group test
CARGO_TARGET_DIR=$directory/target .venv/bin/maturin build --release --quiet \
    --interpreter "$own" --out "$directory/wheels"
"$own" -m pip install --quiet --no-deps "$directory"/wheels/*.whl
"$own" -c '
import sys, ctxvars._core as core
print("CPython", sys.version)
assert core.__file__.startswith(sys.prefix), f"{core.__file__} is not the wheel"'
if [ $# -gt 0 ]; then
    exec "$own" -m pytest --junitxml="$directory/report.xml" "$@"
fi
status=0
"$own" -m pytest --junitxml="$directory/report.xml" --hypothesis-profile=few || status=$?
"$own" -m pytest tests/foreign --junitxml="$directory/foreign.xml" \
    --outcomes="$directory/outcomes.json" || status=$?
exit $status
