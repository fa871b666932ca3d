"""A short version of `make check-growth`: memory does not grow, and each kind of leak is found."""

from __future__ import annotations

import ctypes
import mmap
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

import ctxvars
from scripts.check_growth import suites_on
from tests.support.memory.growth import REFERENCES, Workload, measure, meters
from tests.support.subprocesses import in_subprocess

pytestmark = pytest.mark.slow

VALUE = "the value"
KEPT: list[Any] = []
CACHE: deque[object] = deque(maxlen=2_000)
CALLS = count()


class Shared:
    """An object to which operations below leak a reference, or drop one too many."""


SHARED = Shared()


def library(function: str, *types: Any) -> Any:
    found = getattr(ctypes.pythonapi, function)
    found.argtypes, found.restype = types, ctypes.c_void_p
    return found


def take_a_page() -> None:
    page = mmap.mmap(-1, mmap.PAGESIZE)
    page[0] = 1
    KEPT.append(page)


def rarely() -> None:
    if next(CALLS) % 100 == 0:
        KEPT.append(object())


# Leaks by name, each with the amount that must show it.
LEAKS: dict[str, tuple[Callable[[], object], str]] = {
    "an object": (lambda: KEPT.append([]), "objects"),
    "a string": (lambda: KEPT.append(str(next(CALLS))), "blocks"),
    "a reference": (lambda: library("Py_IncRef", ctypes.py_object)(SHARED), REFERENCES + VALUE),
    "one too few": (lambda: library("Py_DecRef", ctypes.py_object)(SHARED), REFERENCES + VALUE),
    "memory of malloc": (lambda: library("malloc", ctypes.c_size_t)(100), "malloc"),
    "a page": (take_a_page, "resident"),
    "once in a hundred times": (rarely, "blocks"),
}


def what_grows() -> list[tuple[str, list[str]]]:
    grown = [
        measure(workload, shared, scale=0.01)
        for workloads, shared in suites_on(ctxvars)
        for workload in workloads
    ]
    assert len(grown) > 100
    return [(growth.workload.name, growth.leaks) for growth in grown if growth.leaks]


def what_grows_in(name: str) -> list[str]:
    KEPT.extend([SHARED] * 200_000)  # so that the object survives the loss of references
    times = 10_000 if name == "once in a hundred times" else 1_000
    return measure(Workload(name, LEAKS[name][0], times), {VALUE: SHARED}).leaks


def what_grows_in_a_cache() -> list[str]:
    workload = Workload("cache", lambda: CACHE.append([]), times=1_000)
    return measure(workload, {VALUE: SHARED}).leaks


def test_memory_does_not_grow() -> None:
    assert in_subprocess(what_grows, timeout=600) == []


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_found(name: str) -> None:
    shown_by = LEAKS[name][1]
    if shown_by not in meters({VALUE: SHARED}):
        pytest.skip(f"{shown_by}: not known here")
    assert shown_by in in_subprocess(what_grows_in, name)


def test_a_cache_that_fills_late_is_no_leak() -> None:
    assert in_subprocess(what_grows_in_a_cache) == []
