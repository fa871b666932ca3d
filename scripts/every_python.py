"""Runs all tests and the foreign suites from a wheel on each supported CPython: `make test-all`.

An interpreter comes from pyenv or PATH, or else from Debian, in a Debian root. The run fails if an
interpreter is missing and not named in SKIP_PYTHONS. By hand, you can choose interpreters, and pass
arguments to pytest:

    .venv/bin/python scripts/every_python.py --only 3.15 tests/contextvars
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.table import Table

SCRIPTS = Path(__file__).resolve().parent
WORK = SCRIPTS.parent / ".venv" / "pythons"
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
# A free-threaded build, which Debian does not have.
FREE_THREADED = "3.14t"
CHOICES = (*VERSIONS, FREE_THREADED)
# If an interpreter hangs, the results of the others must still be shown.
SECONDS = 3600

# The release of Debian that has a version.
DEBIAN = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid", "3.15": "sid"}
PACKAGES = "python{0}-venv,libpython{0}-testsuite,gcc,libc6-dev"

# Prints the version of a CPython that can make virtual environments, with a "t" if free-threaded.
PROBE = """
import ensurepip, sys, sysconfig
assert sys.implementation.name == "cpython"
free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
print("%d.%d.%d" % sys.version_info[:3] + ("t" if free_threaded else ""))
"""

console = Console(highlight=False, soft_wrap=True)
one_log_at_a_time = Lock()


class Unavailable(Exception):
    """An interpreter is not available; the message says what to do."""


@dataclass
class Result:
    """The result of the tests on one interpreter."""

    version: str
    ending: str
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def release_of(python: Path) -> str:
    """Return the version of an interpreter, or "" if it is not suitable."""
    probe = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=False)
    return probe.stdout.strip()


def find_installed(version: str) -> Path | None:
    """Return the newest matching interpreter of pyenv, or else that on PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    build = "t" if version == FREE_THREADED else ""
    series = version.removesuffix(build)
    wanted = re.compile(rf"{re.escape(series)}\.(\d+){build}")
    candidates = {
        int(release[1]): python
        for python in pyenv.glob(f"versions/{series}.*/bin/python")
        if (release := wanted.fullmatch(release_of(python)))
    }
    if candidates:
        return candidates[max(candidates)]
    on_path = shutil.which(f"python{version}")
    return Path(on_path) if on_path and wanted.fullmatch(release_of(Path(on_path))) else None


def enter_debian(version: str) -> list[str | Path]:
    """Return the prefix of commands that run with the interpreter of Debian."""
    if version not in DEBIAN:
        raise Unavailable(f"no release of Debian has it: pyenv install {version}")
    if os.geteuid() != 0:
        raise Unavailable(f"pyenv install {version}, or be root to use Debian's")
    if not shutil.which("debootstrap"):
        raise Unavailable(f"pyenv install {version}, or apt-get install debootstrap")
    return [SCRIPTS / "debian_root.sh", DEBIAN[version], PACKAGES.format(version)]


def command_for(version: str) -> list[str | Path]:
    """Return the command that runs the tests, without the arguments of pytest."""
    installed = find_installed(version)
    enter = [] if installed else enter_debian(version)
    python = installed or Path(f"/usr/bin/python{version}")
    console.print(f"CPython {version}: {f'that of Debian {DEBIAN[version]}' if enter else python}")
    return [*enter, SCRIPTS / "test_wheel.sh", python, WORK / version]


def result_of(version: str, reports: Iterable[Path], ending: str, seconds: float) -> Result:
    """Add up the counts of all reports."""
    result = Result(version, ending, seconds)
    for report in reports:
        suite = xml.parse(report).find("testsuite").attrib
        failed, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
        result.passed += int(suite["tests"]) - failed - skipped
        result.failed += failed
        result.skipped += skipped
    return result


def run(version: str, pytest: list[str]) -> Result:
    """Build and test, and print the output at the end."""
    directory = WORK / version
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "log"
    environment = dict(os.environ)
    if version == FREE_THREADED:
        # Packages that are not ready for it would enable the GIL.
        environment["PYTHON_GIL"] = "0"
    # Results of an earlier run.
    for found in (*directory.glob("*.xml"), *directory.glob("*.json")):
        found.unlink()
    started = time.monotonic()
    with log.open("w") as output:
        try:
            command = [*command_for(version), *pytest]
            files = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            subprocess.run(command, check=True, timeout=SECONDS, env=environment, **files)
            ending = "passed"
        except Unavailable as error:
            ending = f"not available: {error}, or leave it out with SKIP_PYTHONS={version}"
        except subprocess.CalledProcessError as error:
            ending = "failed" if error.returncode == 1 else f"exit status {error.returncode}"
        except subprocess.TimeoutExpired:
            ending = f"not done after {SECONDS} s"
    seconds = time.monotonic() - started
    result = result_of(version, directory.glob("*.xml"), ending, seconds)
    with one_log_at_a_time:
        console.rule(f"CPython {version}")
        print(log.read_text(), end="", flush=True)
        console.print(f"CPython {version}: {ending}")
    return result


def table_of(results: list[Result], left_out: list[str]) -> Table:
    table = Table("CPython", "passed", "failed", "skipped", "seconds", "")
    for result in results:
        counts = (result.passed, result.failed, result.skipped, round(result.seconds))
        table.add_row(result.version, *map(str, counts), result.ending)
    for version in left_out:
        table.add_row(version, "", "", "", "", "left out by SKIP_PYTHONS")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="interpreters at a time")
    parser.add_argument("--only", action="append", choices=CHOICES, help="just this interpreter")
    options, pytest = parser.parse_known_args()
    left_out = os.environ.get("SKIP_PYTHONS", "").replace(",", " ").split()
    if unknown := set(left_out) - set(CHOICES):
        parser.error(f"SKIP_PYTHONS names {', '.join(unknown)}; there are {', '.join(CHOICES)}")

    # Those that come from Debian take longest, so they go first.
    chosen = [version for version in options.only or VERSIONS if version not in left_out]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda version: run(version, pytest), reversed(chosen)))
    results.reverse()
    console.print(table_of(results, left_out))
    return int(any(result.ending != "passed" for result in results))


if __name__ == "__main__":
    sys.exit(main())
