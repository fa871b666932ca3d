"""Observers change no result: not of random programs, not of the fuzzer, not without memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ctxvars import _core
from ctxvars.fuzz.campaign import search
from ctxvars.fuzz.machine import Watch
from ctxvars.fuzz.subjects import SUBJECTS
from tests.in_place.test_random import run_programs
from tests.support.allocation.failing import failures
from tests.support.builds import FREE_THREADED, IN_PLACE
from tests.support.subprocesses import in_subprocess

pytestmark = pytest.mark.slow


@contextmanager
def observed(capacity: int = 64) -> Iterator[None]:
    """Record, in a ring that overflows soon."""
    _core.start_recording(capacity, True)
    try:
        yield
    finally:
        _core.stop_recording()


def run_recorded(first: int, count: int) -> int:
    with observed():
        return run_programs(first, count)


def test_random_programs_do_the_same_during_a_recording() -> None:
    assert in_subprocess(run_recorded, 0, 40, timeout=300) > 1000


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_fuzzer_finds_no_difference_during_a_recording() -> None:
    subject = SUBJECTS["contextvars"]
    with observed(), warnings.catch_warnings():
        difference = search("contextvars", (subject.against, subject.module), 1, 100, Watch())
    assert difference is None, f"{difference.program}\n{difference}"


def failures_recorded(group: str) -> dict[str, list[str]]:
    with observed():
        return failures(group)


@pytest.mark.skipif(FREE_THREADED, reason="the allocator of CPython cannot be replaced")
@pytest.mark.skipif(not IN_PLACE, reason="CPython leaks where it has no memory for a native set")
@pytest.mark.parametrize("group", ["variables", "contexts", "snapshots", "in place"])
def test_operation_out_of_memory_changes_nothing_during_a_recording(group: str) -> None:
    pytest.importorskip("_testcapi", reason="this Python is installed without its test modules")
    assert in_subprocess(failures_recorded, group, timeout=300) == {}
