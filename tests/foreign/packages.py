"""The packages whose tests of context variables run on ctxvars, and how to run them.

A package is installed from a wheel (by the dependency group `test`). Its tests are those of the
source distribution of this version, with the settings for pytest that its authors chose.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.foreign.endings import RUNNERS, Endings, exit_status, read

# Arguments to run pytest with the context variables of the standard library, or with ctxvars.
STDLIB = ("contextvars", ["-m", "pytest"])
OURS = ("ctxvars.contextvars", ["-m", "ctxvars", "run", "-m", "pytest"])

SECONDS_PER_SUITE = 600


@dataclass(frozen=True)
class Suite:
    """The tests of one package."""

    package: str
    version: str
    sha256: str
    """The hash of the source distribution."""
    folder: str
    """The folder that is unpacked. Sources that need compiling would hide the installed package."""
    tests: tuple[str, ...]
    holder: str
    """A module that has imported `contextvars`, to check which module that is."""
    path: str = ""
    """A folder for `sys.path`, for tests that are part of a package."""
    plugins: tuple[str, ...] = ()
    """Plugins of pytest to load in addition to those in the settings."""
    selection: str = ""
    """The tests to run, for pytest's option `-k`; all if empty."""
    needs: tuple[str, ...] = ()
    """Other packages that must be installed."""

    @property
    def what(self) -> str:
        files = ", ".join(f"`{tests}`" for tests in self.tests)
        return f"{files} (`-k '{self.selection}'`)" if self.selection else files


SUITES = [
    Suite(
        package="structlog",
        version="26.1.0",
        sha256="f63a716cbd1b1291cf7661de7794b455acfa4c43c5bcf1630e6ad5ddc1adb3b7",
        folder="tests",
        tests=("tests",),
        holder="structlog.contextvars",
        plugins=("pytest_asyncio.plugin",),
        needs=("pytest-asyncio", "time-machine"),
    ),
    Suite(
        package="uvloop",
        version="0.23.0",
        sha256="28d160f51ab4da3b187063652e643dea6831072add4adc1e6d62afbe73b6be27",
        folder="tests",
        tests=("tests/test_context.py",),
        holder="tests.test_context",
    ),
    Suite(
        package="anyio",
        version="4.16.0",
        sha256="59bb03251907983d1603d27c3087ddb1e93299ea2163adcdba37899a4fb12ffb",
        folder="tests",
        tests=(
            "tests/test_from_thread.py",
            "tests/test_lowlevel.py",
            "tests/test_pytest_plugin.py",
            "tests/test_taskgroups.py",
            "tests/test_to_thread.py",
        ),
        holder="anyio._backends._asyncio",
        # All that anyio keeps in context variables, and other tests with contexts in their names.
        selection="context or test_lowlevel or test_taskgroups",
        needs=("pytest-mock", "pytest-timeout", "trio", "trustme", "uvloop"),
    ),
    Suite(
        package="greenlet",
        version="3.5.6",
        sha256="8e67c43bdfc88d5fee6db0d3e40175b362fc95fb85f0412d233b9b203c53a575",
        folder="src/greenlet/tests",
        tests=("src/greenlet/tests/test_contextvars.py",),
        holder="tests.test_contextvars",
        needs=("objgraph", "psutil"),
    ),
    Suite(
        package="trio",
        version="0.35.0",
        sha256="7efb295c78a0ecd1235c5759e620b5da564ca80d2efcb0055423588547248b96",
        folder="src/trio",
        tests=(
            "src/trio/_tests/test_contextvars.py",
            "src/trio/_tests/test_threads.py",
            "src/trio/_core/_tests/test_guest_mode.py",
            "src/trio/_core/_tests/test_local.py",
            "src/trio/_core/_tests/test_run.py",
        ),
        holder="trio._core._run",
        path="src",
    ),
]


def run(
    suite: Suite,
    sources: Path,
    start: tuple[str, list[str | Path]],
    record: Path,
    only: str | None = None,
) -> Endings:
    """Return how the tests end if pytest is started so, or how one test ends."""
    contextvars, program = start
    command: list[str | Path] = [sys.executable, "-P", "-X", "faulthandler", *program]
    command += ["-p", "pytest_record", f"--record={record}", f"--holder={suite.holder}"]
    command += [f"--context-variables={contextvars}", "-p", "no:cacheprovider"]
    for plugin in suite.plugins:
        command += ["-p", plugin]
    if only is None:
        command += [*suite.tests, "-k", suite.selection]
    else:
        command += [only]
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PYTEST")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    paths = [sources / suite.path, RUNNERS] if suite.path else [RUNNERS]
    environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    log = record.with_suffix(".log")
    code = exit_status(
        command, log, directory=sources, seconds=SECONDS_PER_SUITE, environment=environment
    )
    # Other codes are errors of collection and of pytest, and crashes.
    assert code in (0, 1), f"exit {code}: {log.read_text()[-3000:]}"
    endings = read(record)
    assert endings, f"no test of {suite.package} ran: {log.read_text()[-3000:]}"
    return endings
