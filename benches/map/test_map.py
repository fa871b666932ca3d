"""ctxvars.Map against immutables, rpds and dict, one operation at a time: `make bench`.

A dictionary stands in for a persistent map as it does in programs: it is copied, and the copy is
modified. What an operation makes is dropped again within the time that is measured.
"""

from __future__ import annotations

import copy
import pickle
from collections import deque
from typing import Any

import by_hand
import pytest
from operations import OPERATIONS, Operation
from paired import Turn, measure, written_out
from report import Measurement
from samples import LIBRARIES, LOOKED_UP, SUITE, Sample, sample

BATCH = 20_000
"""How much work a turn is to have, roughly."""

CASES = [
    pytest.param(operation, size, id=f"{operation.name}, {size}")
    for operation in OPERATIONS
    for size in operation.sizes
]


def names(of: Sample, library: str, code: str) -> dict[str, Any]:
    """What the code may use. What takes long to make is made if the code mentions it."""
    scope = {
        "m": of.map(library),
        "make": LIBRARIES[library],
        "entries": of.entries,
        "new": -1,
        "use_up": deque(maxlen=0).extend,
        "loads": pickle.loads,
        "deepcopy": copy.deepcopy,
        "merge_by_hand": by_hand.merge,
        "merge_dicts": by_hand.merge_dicts,
        "diff_by_hand": by_hand.diff,
    }
    if "news" in code:
        scope["news"] = dict.fromkeys(of.absent)
    if "other" in code:
        scope["other"] = of.apart(library)
    if "key_set" in code:
        scope["key_set"] = of.keys()
    if "pickled" in code:
        scope["pickled"] = of.pickled(library)
    return scope


def turn(operation: Operation, of: Sample, library: str) -> Turn:
    code = operation.codes[library]
    size = len(of.entries)
    times = max(BATCH // (code.work or size), 1)
    count = min(times, LOOKED_UP)
    passes = 1 if operation.once else times // count
    arguments = operation.arguments(of, library, count)
    scope = names(of, library, code.text)
    done = count * passes * (size if operation.per_entry else 1)
    operate = written_out(code.text, scope, arguments, passes)
    if operation.once or not code.work:
        return Turn(operate, done)
    return Turn(operate, done, warm_up=written_out(code.text, scope, arguments))


@pytest.mark.parametrize(("operation", "size"), CASES)
def test_speed(benchmark: Any, operation: Operation, size: int) -> None:
    def prepared_round() -> dict[str, Turn]:
        of = sample(size, operation.kind)
        return {library: turn(operation, of, library) for library in operation.codes}

    Measurement(
        suite=SUITE,
        operation=operation.name,
        samples=measure(benchmark, prepared_round),
        size=size,
        bars=list(operation.bars),
    ).record(benchmark)
