"""Runs a module of CPython's own tests with something in the place of the interpreter's.

That takes a process of its own: a runner, which is given what to put there, the module, the file to
record the endings in, and its options.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.foreign.endings import Endings, exit_status, read


def run(
    runner: Path, in_place: str, module: str, directory: Path, *options: str, seconds: int
) -> Endings:
    """How the tests of `module` end with `in_place`, by the ids of the tests."""
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
        # What ended last is what was written last.
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
