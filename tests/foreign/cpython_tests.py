"""Runs a module of CPython's tests with a replacement for a part of the interpreter.

This needs another process, the runner. Its arguments are the replacement, the module, the file for
the record of results, and options.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.foreign.endings import Endings, exit_status, read


def run(
    runner: Path, in_place: str, module: str, directory: Path, *options: str, seconds: int
) -> Endings:
    """Return how the tests of `module` end with the replacement `in_place`, by their ids."""
    directory = directory / in_place
    directory.mkdir(exist_ok=True)
    record, log = directory / "record", directory / "log"
    command = [sys.executable, "-X", "faulthandler", runner, in_place, module, record, *options]
    try:
        code = exit_status(command, log, directory=directory, seconds=seconds)
        how = f"exit {code}" if code else None
    except subprocess.TimeoutExpired:
        how = "timeout"

    endings = read(record)
    assert endings, f"no test of {module} ran: {log.read_text()[-2000:]}"
    if how is not None:
        # The test that ended last was written last.
        endings[list(endings)[-1]].append(how)
    return endings


def run_both(
    runner: Path,
    in_place: tuple[str, str],
    module: str,
    directory: Path,
    *options: str,
    seconds: int,
) -> tuple[Endings, Endings]:
    """The endings with the interpreter's, which can all be loaded, and those with ours."""
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(
            lambda each: run(runner, each, module, directory, *options, seconds=seconds), in_place
        )
    assert not [test for test in theirs if "_FailedTest" in test], "a test cannot be loaded"
    return theirs, ours
