"""ctxvars.Set against frozenset and rpds.HashTrieSet, one operation at a time: `make bench`."""

from __future__ import annotations

from typing import Any

import pytest
import rpds
from paired import EACH, OURS, Turn, measure, written_out
from report import Measurement
from samples import LOOKED_UP, Sample, sample

import ctxvars

SETS: dict[str, Any] = {OURS: ctxvars.Set, "rpds": rpds.HashTrieSet, "frozenset": frozenset}
SIZES = (100, 10_000)

OPERATIONS: dict[str, dict[str, str]] = {
    "x in s": dict.fromkeys(SETS, f"{EACH} in s"),
    "add": {
        OURS: f"s.add({EACH}[0])",
        "rpds": f"s.insert({EACH}[0])",
        "frozenset": f"s | {EACH}",
    },
    "union after one edit": dict.fromkeys(SETS, "s.union(edited)"),
}
"""The code for each library. An element to add is in a tuple, or for frozenset in a set."""


def turn(operation: str, of: Sample, library: str) -> Turn:
    make = SETS[library]
    elements = make(of.entries)
    edited = {OURS: lambda: elements.add(None), "rpds": lambda: elements.insert(None)}.get(
        library, lambda: elements | {None}
    )()
    if operation == "add":
        arguments: list[Any] = [
            {key} if library == "frozenset" else (key,) for key in of.absent[:LOOKED_UP]
        ]
    else:
        arguments = of.stored[:LOOKED_UP]
    if operation == "union after one edit":
        arguments = arguments[:20]
    scope = {"s": elements, "edited": edited}
    operate = written_out(OPERATIONS[operation][library], scope, arguments)
    return Turn(operate, len(arguments))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_speed_of_sets(benchmark: Any, operation: str, size: int) -> None:
    def prepared_round() -> dict[str, Turn]:
        of = sample(size)
        return {library: turn(operation, of, library) for library in SETS}

    samples = measure(benchmark, prepared_round)
    Measurement(suite="set", operation=operation, samples=samples, size=size, bars=[]).record(
        benchmark
    )
