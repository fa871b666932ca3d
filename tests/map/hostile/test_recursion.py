"""Operations on maps count the recursion through the user code that they call."""

from __future__ import annotations

import sys

import pytest

from ctxvars import Map
from tests.support.map.nests import LIMIT, without_error
from tests.support.subprocesses import in_subprocess


@pytest.mark.parametrize("limit", [sys.getrecursionlimit(), LIMIT])
def test_nested_operations_end_in_an_error(limit: int) -> None:
    """If the interpreter crashes, the traceback shows the operation."""
    assert in_subprocess(without_error, limit) == []


def test_maps_nested_in_maps_are_compared_to_some_depth() -> None:
    """The limit must allow normal use: maps in maps, and a diff in a comparison."""
    one, other = Map(a=1), Map(a=1)
    for _ in range(200):
        one, other = Map(a=one), Map(a=other)
    assert one == other
    assert not one.diff(other)
    assert one.update(other) == other
    assert one.merge(other, Map(a=1), resolve=lambda *_: 7) == Map(a=7) or one == other
