#!/usr/bin/env bash
# Builds the crate and the binding, and runs the crate's tests, with the oldest supported Rust.
#
# That is the rustc of Debian 13, in a Debian root. The script needs root and debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v debootstrap >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "skipped: the oldest Rust is tested as root, with debootstrap installed"
    exit 0
fi
scripts/debian_root.sh trixie rustc,cargo,python3-dev,gcc,libc6-dev sh -euc '
    rustc --version
    export CARGO_TARGET_DIR=/opt/target
    cargo check --locked --quiet --features python
    PROPTEST_CASES=16 cargo test --locked --quiet --features serde,rayon,deep-drop,tokio,futures,tower,tracing,carrier,http,signing
'
