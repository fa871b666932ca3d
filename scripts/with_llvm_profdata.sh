#!/bin/sh
# Runs a command with the llvm-profdata of rustc's LLVM on PATH, where maturin looks for it.
#
#     scripts/with_llvm_profdata.sh .venv/bin/maturin build --release --pgo
#
# It comes from `rustup component add llvm-tools`, or else from the package llvm-N of this machine, or
# else from that package in a Debian root, for which root and debootstrap are needed.
set -eu

checkout=$(cd "$(dirname "$0")/.." && pwd)
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
host=$(rustc -vV | sed -n 's/^host: //p')
if [ ! -x "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" ]; then
    directory=/usr/lib/llvm-$version/bin
    if [ ! -x "$directory/llvm-profdata" ]; then
        # A Debian root shows the checkout at its path, so profiles have to lie there.
        directory=$checkout/target/llvm-profdata TMPDIR=$checkout/target/profiles
        export TMPDIR
        mkdir -p "$directory" "$TMPDIR"
        cat >"$directory/llvm-profdata" <<END
#!/bin/sh
exec "$checkout/scripts/debian_root.sh" sid llvm-$version /usr/lib/llvm-$version/bin/llvm-profdata "\$@"
END
        chmod +x "$directory/llvm-profdata"
    fi
    PATH=$directory:$PATH
fi
export PATH
exec "$@"
