#!/bin/sh
# Runs a command beside a Python that the machine does not have: one of Debian's, in a root of its
# own, with this package built for it. The default command is pytest.
#
#     tests/debian_python.sh 3.15 pytest tests/foreign/test_cpython.py
#
# It needs to be root, for chroot, and debootstrap, rustup and the network.
# The Debian root is made once, and kept in CTXVARS_ROOTS.
set -eu

version=$1
shift
checkout=$(cd "$(dirname "$0")/.." && pwd)
roots=${CTXVARS_ROOTS:-$HOME/.cache/ctxvars/roots}
root=$roots/py$(echo "$version" | tr -d .)
export CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"

if [ ! -d "$root" ]; then
    mkdir -p "$roots"
    packages=python$version-venv,python$version-dev,libpython$version-testsuite
    # An interrupted attempt must not be taken for a root.
    debootstrap --variant=minbase --include="$packages,gcc,libc6-dev" sid "$root.part"
    mv "$root.part" "$root"
fi

# The mounts are private to this process, so they end with it.
# What is built stays in the Debian root: the checkout's own build is for another Python.
exec unshare --mount sh -eu -c '
    version=$1 checkout=$2 root=$3
    shift 3
    for directory in "$checkout" "$CARGO_HOME" "$RUSTUP_HOME" /dev /proc /etc/ssl; do
        mkdir -p "$root$directory"
        mount --rbind "$directory" "$root$directory"
    done
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    export HOME=/root CARGO_TARGET_DIR=/opt/target PATH="/opt/venv/bin:$CARGO_HOME/bin:/usr/sbin:/usr/bin:/bin"
    exec chroot "$root" sh -eu -c "
        cd \"\$1\"
        shift
        [ -d /opt/venv ] || python$version -m venv /opt/venv
        pip install -q maturin --group foreign
        rm -rf /opt/dist
        maturin build -q -r -i python -o /opt/dist
        pip install -q --force-reinstall --no-deps /opt/dist/*.whl
        exec \"\$@\"
    " sh "$checkout" "$@"
' sh "$version" "$checkout" "$root" "${@:-pytest}"
