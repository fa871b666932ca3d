"""The fuzzer finds no difference between ctxvars and its models, and finds known differences."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import ctxvars
from ctxvars.fuzz import campaign, command
from ctxvars.fuzz.campaign import Tally, search
from ctxvars.fuzz.compare import Difference
from ctxvars.fuzz.machine import Watch, try_out
from ctxvars.fuzz.program import script, statements_of
from ctxvars.fuzz.shrinking import nature, shrink
from ctxvars.fuzz.subjects import SUBJECTS

PROGRAMS = 200
# At least so many kinds of steps, and pairs of kinds, occur in these programs.
KINDS = {"contextvars": 105, "map": 60, "classes": 24}
PAIRS = {"contextvars": 2000, "map": 2500, "classes": 300}

# Programs leave coroutines behind that were never awaited, and Python warns when they are freed.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def nothing_is_left_for_other_tests() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


class Count(Watch):
    def __init__(self) -> None:
        self.programs: list[str] = []
        self.tally = Tally()

    def begins(self, program: str) -> None:
        self.programs.append(program)

    def ends(self, lines: list[tuple[str, str]]) -> None:
        self.tally.add(lines)


# The programs are the same each time, so a failure is due to a change of the code.
@pytest.mark.parametrize("subject", SUBJECTS)
def test_random_programs_show_no_difference(subject: str) -> None:
    count = Count()
    modules = SUBJECTS[subject].against, SUBJECTS[subject].module
    threads = threading.enumerate()
    difference = search(subject, modules, 0, PROGRAMS, count)
    assert difference is None, f"{difference.program}\n{difference}"
    assert len(count.programs) >= PROGRAMS
    assert len(count.tally.steps) >= KINDS[subject]
    assert len(count.tally.pairs) >= PAIRS[subject]
    # Threads and loops that programs have started have ended.
    assert {*threading.enumerate()} <= {*threads}
    loops = [it for it in gc.get_objects() if isinstance(it, asyncio.BaseEventLoop)]
    assert all(loop.is_closed() for loop in loops)


LONG = """
variable = module.ContextVar("variable")
other = None
def unused():
    step("get", lambda: variable.get())
def used():
    global other
    try:
        other = step("set", lambda: variable.set(1))
        step("get", lambda: variable.get())
    finally:
        step("copy current", lambda: module.copy_context())
    step("get", lambda: variable.get())
step("get", lambda: other)
step("call", lambda: used())
"""
# A block is deleted or kept as a whole, and all statements in this one are needed.
SHORT = """
variable = module.ContextVar("variable")
def used():
    try:
        other = step("set", lambda: variable.set(1))
    finally:
        step("copy current", lambda: module.copy_context())
step("call", lambda: used())
"""


def test_statements_that_make_no_difference_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    copies_nothing = ModuleType("copies_nothing")
    vars(copies_nothing).update({**vars(ctxvars), "copy_context": ctxvars.Context})
    monkeypatch.setitem(sys.modules, "copies_nothing", copies_nothing)
    steps = SUBJECTS["contextvars"].machine.runtime
    modules = "contextvars", "copies_nothing"
    with pytest.raises(Difference) as raised:
        try_out(script(steps, LONG), modules, Watch())
    smaller = shrink(raised.value, steps, Watch())
    assert statements_of(smaller.program) == SHORT.strip()
    assert nature(smaller) == nature(raised.value)


WITHOUT_FINISH = """
def function():
    step("pause", pause)
waiting, unstarted = Thread(function), Thread(function)
step("resume", waiting.resume)
"""


def test_threads_of_a_program_that_is_cut_short_end() -> None:
    threads = threading.enumerate()
    subject = SUBJECTS["contextvars"]
    program = script(subject.machine.runtime, WITHOUT_FINISH)
    try_out(program, (subject.against, subject.module), Watch())
    assert {*threading.enumerate()} <= {*threads}


def test_the_same_seed_makes_the_same_programs() -> None:
    counts = Count(), Count()
    for count in counts:
        search("map", ("ctxvars", "ctxvars"), 7, 10, count)
    assert counts[0].programs == counts[1].programs


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("__import__('os')._exit(3)", "it ends the interpreter, with exit status 3"),
        ("__import__('time').sleep(1000)", "it does not end in 15 seconds"),
    ],
)
def test_a_process_that_is_lost_leaves_its_program(
    source: str, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "fatal.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(campaign, "PATIENCE", 15.0)
    task = campaign.Task("map", (SUBJECTS["map"].against, "fatal"), 0, 60.0)
    *_, failure = campaign.campaign(task, jobs=1)
    assert isinstance(failure, campaign.Failure)
    assert failure.problem == problem
    assert failure.program.startswith('"""Prints the same')


def fuzz(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "ctxvars", "fuzz", *arguments]
    return subprocess.run(line, cwd=directory, capture_output=True, text=True, check=False)


def test_the_command_reports_that_it_found_nothing(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "--seconds", "1", "--jobs", "1", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "programs did the same on both" in done.stdout


def test_the_command_saves_a_difference(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("from ctxvars import *\ncopy_context = Context\n")
    done = fuzz(tmp_path, "--module", "broken", "--seed", "0", "--jobs", "1", "--save", "found")
    assert done.returncode == 1, done.stderr
    (program,) = (tmp_path / "found").glob("contextvars_*.py")
    assert program.read_text() in done.stdout
    assert f"--replay found/{program.name}" in done.stdout
    assert "tests/fuzz_found" in done.stdout
    assert fuzz(tmp_path, "--module", "broken", "--replay", str(program)).returncode == 1
    assert fuzz(tmp_path, "--replay", str(program)).returncode == 0


def test_the_command_replays_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The program compares with a module that has no contexts.
    program = tmp_path / "program.py"
    program.write_text("import sys\nprint(hasattr(__import__(sys.argv[1]), 'Map'))\n")
    done = fuzz(tmp_path, "--replay", str(program))
    assert done.returncode == 1
    assert "not the same on both" in done.stdout
    assert not hasattr(contextvars, "Map")
    monkeypatch.setattr(command, "SECONDS_TO_REPLAY", 0.5)
    program.write_text("import time; time.sleep(1000)")
    assert command.main(["--replay", str(program)]) == 0
    done = fuzz(tmp_path, "--replay", "missing.py")
    assert done.returncode == 2
    assert "there is no file missing.py" in done.stderr
