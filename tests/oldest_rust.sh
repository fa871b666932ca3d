#!/usr/bin/env bash
# Builds the crate and the binding, and runs the crate's tests, with the oldest supported Rust.
#
# That is the rustc of Debian 13, which this installs into a root of its own, kept in
# CTXVARS_ROOTS (default ~/.cache/ctxvars). It needs root and debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."

root=${CTXVARS_ROOTS:-$HOME/.cache/ctxvars}/trixie-rust
if ! command -v debootstrap >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "skipped: the oldest Rust is tested as root, with debootstrap installed"
    exit 0
fi
if [ ! -e "$root/.complete" ]; then
    echo "installing Debian 13 with its rustc into $root (about a minute)"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=rustc,cargo,python3-dev,gcc,libc6-dev \
        trixie "$root" >"$root.log" 2>&1 || { tail "$root.log"; exit 1; }
    touch "$root/.complete"
fi

# Cargo downloads outside, where the network is set up, and builds inside without it.
rm -rf "$root/src" "$root/vendor"
mkdir -p "$root/src"
cp -r Cargo.toml Cargo.lock build.rs README.md src benches tests "$root/src"
cargo vendor --locked --quiet "$root/vendor" >/dev/null
mkdir -p "$root/src/.cargo"
printf '%s\n' '[source.crates-io]' 'replace-with = "vendored"' \
    '[source.vendored]' 'directory = "/vendor"' >"$root/src/.cargo/config.toml"
chroot "$root" sh -euc '
    cd /src
    rustc --version
    cargo check --locked --quiet --features python
    PROPTEST_CASES=16 cargo test --locked --quiet --features serde,rayon,deep-drop
'
