"""Each allocation of each operation fails in turn.

An operation returns its result, or raises MemoryError. In the second case, all objects are as
before, another try succeeds, and no memory has leaked.
"""

from __future__ import annotations

import sys

import pytest

from tests.support.allocation.failing import (
    GROUPS,
    failures,
    failures_of_first_calls,
    operations_that_create_functions,
)
from tests.support.builds import FREE_THREADED
from tests.support.subprocesses import in_subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FREE_THREADED, reason="the allocator of CPython cannot be replaced"),
]


@pytest.fixture(autouse=True)
def _needs_testcapi() -> None:
    pytest.importorskip("_testcapi", reason="this Python is installed without its test modules")


def test_no_operation_creates_a_function_whose_allocation_would_fail() -> None:
    # CPython 3.12 and 3.13 crash if they have no memory for a function; other versions do not.
    assert in_subprocess(operations_that_create_functions) == []


@pytest.mark.parametrize("group", GROUPS)
def test_operation_out_of_memory_changes_nothing(group: str) -> None:
    assert in_subprocess(failures, group) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("group", ["classes", "isolation"])
def test_first_call_out_of_memory_raises_memory_error(group: str) -> None:
    # These operations look up names and import in functions that CPython calls.
    assert in_subprocess(failures_of_first_calls, group) == []
