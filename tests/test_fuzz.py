"""The fuzzer finds no difference between ctxvars and its models, and finds those that are there."""

from __future__ import annotations

import contextvars
import gc
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ctxvars
from ctxvars._fuzz import campaign, command, dict_map
from ctxvars._fuzz.campaign import search
from ctxvars._fuzz.compare import Difference
from ctxvars._fuzz.program import script, statements_of
from ctxvars._fuzz.shrinking import shrink
from ctxvars._fuzz.subjects import SUBJECTS
from ctxvars._fuzz.writing import Watch, try_out

PROGRAMS = 60

# Programs leave coroutines behind that were never awaited; Python says so when they go.
pytestmark = [
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
        self.kinds: set[str] = set()

    def begins(self, program: str) -> None:
        self.programs.append(program)

    def ends(self, lines: list[tuple[str, str]]) -> None:
        self.kinds.update(kind for kind, _ in lines)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_difference(subject: str) -> None:
    count = Count()
    modules = SUBJECTS[subject].against, SUBJECTS[subject].module
    difference = search(subject, modules, 0, PROGRAMS, count)
    assert difference is None, f"{difference.program}\n{difference}"
    assert len(count.programs) >= PROGRAMS
    assert len(count.kinds) > 20


def copies_nothing() -> Any:
    return ctxvars.Context()


class LosesDefault(dict_map.Map):
    def get(self, key: Any, default: Any = None) -> Any:
        return self.dict.get(key)


class KeepsWhatIsDiscarded(dict_map.Map):
    def discard(self, key: Any) -> dict_map.Map:
        hash(key)
        return self


FAULTS = {
    "copy_context copies nothing": ("contextvars", ctxvars, {"copy_context": copies_nothing}),
    "get ignores its default": ("map", dict_map, {"Map": LosesDefault}),
    "discard does nothing": ("map", dict_map, {"Map": KeepsWhatIsDiscarded}),
}


def install(fault: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a module "faulty" with this fault; return the subject."""
    subject, original, broken = FAULTS[fault]
    faulty = ModuleType("faulty")
    vars(faulty).update({**vars(original), **broken, "__name__": "faulty"})
    monkeypatch.setitem(sys.modules, "faulty", faulty)
    return subject


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
# The block goes as a whole or stays as a whole, and what it holds is all needed.
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
    subject = install("copy_context copies nothing", monkeypatch)
    steps = SUBJECTS[subject].machine.steps
    modules = SUBJECTS[subject].against, "faulty"
    with pytest.raises(Difference) as raised:
        try_out(script(steps, LONG), modules, Watch())
    smaller = shrink(raised.value, steps, Watch())
    assert statements_of(smaller.program) == SHORT.strip()
    assert smaller.lines == raised.value.lines


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found_and_runs_by_itself(
    fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    subject = install(fault, monkeypatch)
    against = SUBJECTS[subject].against
    difference = search(subject, (against, "faulty"), 0, 400, Watch())
    assert difference is not None
    assert difference.lines[0] != difference.lines[1]
    # What makes no difference has been taken out.
    assert difference.program.count(" = step(") < 12
    script = tmp_path / "program.py"
    script.write_text(difference.program)
    line = [sys.executable, script, against]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    kind, ending = difference.lines[0]
    assert f"{kind}: {ending}" in done.stdout


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


def test_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "ctxvars", "fuzz", *arguments]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = fuzz("--seconds", "1", "--jobs", "1", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "programs did the same on both" in done.stdout
    # Not the same as a module that has no contexts.
    program = tmp_path / "program.py"
    program.write_text("import sys\nprint(hasattr(__import__(sys.argv[1]), 'Map'))\n")
    done = fuzz("--replay", str(program))
    assert done.returncode == 1
    assert "not the same on both" in done.stdout
    assert not hasattr(contextvars, "Map")
    monkeypatch.setattr(command, "SECONDS_TO_REPLAY", 0.5)
    program.write_text("import time; time.sleep(1000)")
    assert command.main(["--replay", str(program)]) == 0
    done = fuzz("--replay", "missing.py")
    assert done.returncode == 2
    assert "there is no file missing.py" in done.stderr
