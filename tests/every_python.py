"""Builds a wheel for each other CPython 3.11+ on this machine and runs the tests on it.

Interpreters are looked for among pyenv's and on PATH; one of each minor version is used. Those that
are missing are named, not failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".venv" / "pythons"
MINORS = range(11, 16)
VERSION = (
    "import sys; print(sys.implementation.name, sys.version_info[1] * (sys.version_info[0] == 3))"
)


def minor_of(python: Path) -> int | None:
    """The minor version of a CPython 3, or None for anything else and for what does not run."""
    result = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=False)
    name, _, minor = result.stdout.strip().partition(" ")
    return int(minor) if name == "cpython" else None


def find_pythons() -> dict[int, Path]:
    """One interpreter of each minor version, pyenv's first."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = sorted(pyenv.glob("versions/*/bin/python"), reverse=True)
    on_path = (shutil.which(f"python3.{minor}") for minor in MINORS)
    candidates += [Path(python) for python in on_path if python]
    found: dict[int, Path] = {}
    for python in candidates:
        minor = minor_of(python)
        if minor in MINORS:
            found.setdefault(minor, python)
    return found


def test_on(python: Path, minor: int) -> bool:
    """Runs the tests against an installed wheel; True if they pass."""
    home = WORK / f"3.{minor}"
    own = home / "bin" / "python"
    maturin = Path(sys.executable).parent / "maturin"
    steps: list[list[str | Path]] = [
        [python, "-m", "venv", home],
        [own, "-m", "pip", "install", "--quiet", "--upgrade", "pip"],
        [own, "-m", "pip", "install", "--quiet", "--group", "test"],
        [maturin, "build", "--release", "--quiet", "-i", own, "-o", home / "wheels"],
    ]
    for step in steps:
        subprocess.run(step, cwd=ROOT, check=True)
    wheel = max((home / "wheels").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    install = [own, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", wheel]
    subprocess.run(install, check=True)
    return subprocess.run([own, "-m", "pytest"], cwd=ROOT, check=False).returncode == 0


def main() -> int:
    pythons = find_pythons()
    pythons.pop(sys.version_info[1], None)
    missing = [f"3.{minor}" for minor in MINORS if minor not in {*pythons, sys.version_info[1]}]
    failed = []
    for minor, python in sorted(pythons.items()):
        print(f"\nCPython 3.{minor}: {python}", flush=True)
        if not test_on(python, minor):
            failed.append(f"3.{minor}")
    done = ", ".join(f"3.{minor}" for minor in sorted(pythons)) or "none"
    print(f"\nother interpreters tested: {done}; skipped, not installed: {len(missing)}", end="")
    print(f" ({', '.join(missing)})" if missing else "")
    if failed:
        print(f"failed on {', '.join(failed)}: run the tests there alone for details")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
