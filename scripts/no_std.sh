#!/usr/bin/env bash
# Builds the map for a target without an operating system, in a crate without std, and runs it in node.
#
# The target is wasm32-unknown-unknown: the installed toolchain's, or else that of Debian 13, in a Debian
# root, which needs root and debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/no_std"
build="cargo build --quiet --release --target $target --manifest-path tests/no_std/Cargo.toml"
if [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    $build
elif command -v debootstrap >/dev/null && [ "$(id -u)" = 0 ]; then
    # Cargo of rustup comes before Debian's in PATH otherwise.
    scripts/debian_root.sh trixie cargo,rustc,gcc,libc6-dev,libstd-rust-dev-wasm32,lld \
        sh -euc "PATH=/usr/bin:/bin; rustc --version; CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld $build"
else
    echo "skipped: there is no $target (rustup target add $target), and no root with debootstrap"
    exit 0
fi
if ! command -v node >/dev/null; then
    echo "built, but not run: node is not installed"
    exit 0
fi
node -e '
    const bytes = require("fs").readFileSync(process.argv[1]);
    WebAssembly.instantiate(bytes).then(({ instance }) => {
        const seen = instance.exports.check();
        if (seen !== 2001) throw new Error(`${seen} entries were seen`);
        console.log("the map works without std");
    });
' "$CARGO_TARGET_DIR/$target/release/ctxvars_no_std.wasm"
