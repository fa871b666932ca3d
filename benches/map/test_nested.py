"""Nested access in ctxvars.Map against pyrsistent, one operation at a time: `make bench`.

A configuration of three levels, each with ten keys. The path is as long as the operation says.
"""

from __future__ import annotations

from typing import Any

import pyrsistent
import pytest
from paired import EACH, OURS, Turn, measure, written_out
from report import Bar, Measurement

import ctxvars

PEER = "pyrsistent"
WIDTH = 10
REPEATED = 200

OPERATIONS: dict[str, tuple[int, dict[str, str], float | None]] = {
    "get_in": (
        3,
        {OURS: f"m.get_in({EACH})", PEER: f"get_in({EACH}, m)"},
        None,
    ),
    "set_in, one key": (
        1,
        {OURS: f"m.set_in({EACH}, new)", PEER: f"m.transform({EACH}, new)"},
        0.1,
    ),
    "set_in": (3, {OURS: f"m.set_in({EACH}, new)", PEER: f"m.transform({EACH}, new)"}, 0.1),
    "update_in": (3, {OURS: f"m.update_in({EACH}, abs)", PEER: f"m.transform({EACH}, abs)"}, 0.1),
    "delete_in": (
        3,
        {OURS: f"m.delete_in({EACH})", PEER: f"m.transform({EACH}, discard)"},
        0.1,
    ),
    "merge_deep, one key": (
        3,
        {OURS: f"m.merge_deep(nested({EACH}))", PEER: f"m.transform({EACH}, new)"},
        None,
    ),
}
"""The length of the path, the code for each library, and the highest acceptable ratio."""


def tree(depth: int) -> Any:
    if depth == 0:
        return -1
    return {f"key_{number}": tree(depth - 1) for number in range(WIDTH)}


def nested(path: list[str]) -> Any:
    below: Any = -2
    for key in reversed(path):
        below = {key: below}
    return below


def turn(operation: str, library: str) -> Turn:
    depth, codes, _ = OPERATIONS[operation]
    freeze = ctxvars.freeze if library == OURS else pyrsistent.freeze
    paths = [
        [f"key_{(number + level) % WIDTH}" for level in range(depth)] for number in range(REPEATED)
    ]
    scope = {
        "m": freeze(tree(3)),
        "new": -2,
        "get_in": pyrsistent.get_in,
        "discard": pyrsistent.discard,
        "nested": nested,
    }
    return Turn(written_out(codes[library], scope, paths), REPEATED)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_speed_of_nested_access(benchmark: Any, operation: str) -> None:
    _, codes, limit = OPERATIONS[operation]
    samples = measure(benchmark, lambda: {library: turn(operation, library) for library in codes})
    bars = [Bar(limit, PEER)] if limit else []
    Measurement(
        suite="nested", operation=operation, samples=samples, size=WIDTH**3, bars=bars
    ).record(benchmark)
