#!/bin/sh
# Runs a command in a Debian root that has the packages for it, which this machine may lack.
#
#     scripts/debian_root.sh sid python3.15-venv,gcc,libc6-dev python3.15 -VV
#
# The root has the home directory and the checkout at their paths, and the network settings of the
# machine, so pip and cargo work as usual. It is created once for each list of packages, and kept in
# CTXVARS_ROOTS (default: ~/.cache/ctxvars). The script needs the network, and root for chroot.
set -eu

# The mounts are private to this process, and end with it.
[ -n "${CTXVARS_MOUNTS_ARE_PRIVATE:-}" ] || {
    [ "$(id -u)" = 0 ] || { echo "a Debian root can be entered by root only" >&2; exit 1; }
    export CTXVARS_MOUNTS_ARE_PRIVATE=yes
    exec unshare --mount "$0" "$@"
}

suite=$1 packages=$2
shift 2
checkout=$(cd "$(dirname "$0")/.." && pwd)
roots=${CTXVARS_ROOTS:-$HOME/.cache/ctxvars}
root=$roots/$suite-$(echo "$packages" | cksum | cut -d ' ' -f 1)
mkdir -p "$roots"

# A second process waits until the root is complete. An interrupted attempt does not count as complete.
exec 9>"$root.lock"
flock 9
if [ ! -d "$root" ]; then
    command -v debootstrap >/dev/null ||
        { echo "debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
    echo "installing Debian $suite into $root"
    rm -rf "$root.part"
    debootstrap --variant=minbase --include="$packages" "$suite" "$root.part" >"$root.log" 2>&1 ||
        { tail "$root.log" >&2; exit 1; }
    mv "$root.part" "$root"
fi
flock --unlock 9

export CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
for directory in "$HOME" "$checkout" "$CARGO_HOME" "$RUSTUP_HOME" /dev /proc /etc/ssl; do
    [ -d "$directory" ] || continue
    mkdir -p "$root$directory"
    mount --rbind "$directory" "$root$directory"
done
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
    [ ! -e "$file" ] || cp -L "$file" "$root$file"
done
export PATH="/usr/sbin:/usr/bin:/sbin:/bin:$CARGO_HOME/bin"
exec chroot "$root" sh -euc 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
