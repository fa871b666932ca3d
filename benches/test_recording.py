"""Changes of variables during a recording, against the same without one: `make bench`."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import Any

import pytest
from paired import OURS, Turn, measure, written_out
from report import Bar, Measurement

from ctxvars import ContextVar, _core, scope

REPEATS = [None] * 1000
# Starting a recording, and filling the ring for the first time, must not count.
PASSES = 300
WITHOUT = "no recording"
# A recording may add this to each set, in seconds.
ADDED_BAR = Bar(150e-9, None)
VARIABLES = [ContextVar[int](f"v{number}") for number in range(10)]


def turn(code: str, names: dict[str, Any], records: bool) -> Turn:
    operate = written_out(code, names, REPEATS, PASSES)

    def inside() -> None:
        for variable in VARIABLES:
            variable.set(0)
        if records:
            _core.start_recording(65_536, False)
        try:
            operate()
        finally:
            _core.stop_recording()

    return Turn(partial(contextvars.Context().run, inside), len(REPEATS) * PASSES)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("set", "variable.set(1)"),
        ("set and reset", "variable.reset(variable.set(1))"),
        ("scope of 5", "with five:\n                pass"),
        ("get", "variable.get()"),
    ],
)
def test_operation_during_a_recording(benchmark: Any, operation: str, code: str) -> None:
    names = {"variable": VARIABLES[0], "five": scope(dict.fromkeys(VARIABLES[:5], 1))}
    turns = {WITHOUT: turn(code, names, records=False), OURS: turn(code, names, records=True)}
    samples = measure(benchmark, lambda: turns)
    Measurement("recording", operation, samples).record(benchmark)


def test_what_a_recording_adds_to_a_set(benchmark: Any) -> None:
    names = {"variable": VARIABLES[0]}
    code = "variable.set(1)"
    turns = {WITHOUT: turn(code, names, records=False), OURS: turn(code, names, records=True)}
    samples = measure(benchmark, lambda: turns)
    added = [on - off for on, off in zip(samples[OURS], samples[WITHOUT], strict=True)]
    Measurement("recording", "added to a set", {OURS: added}, bars=[ADDED_BAR]).record(benchmark)
