"""Bringing changes back from a copy of a context, against a loop over variables: `make bench`."""

from __future__ import annotations

import contextvars
from functools import partial
from types import ModuleType
from typing import Any

from paired import EACH, OURS, Turn, measure, written_out
from report import Bar, Measurement

import ctxvars

STDLIB = "contextvars"
VARIABLES = 10_000
CHANGES = 3
TARGETS = {OURS: 1000, STDLIB: 50}
"""The number of contexts that get the changes in one round."""


def bring_back(base: ctxvars.Context, target: ctxvars.Context) -> None:
    """Merge the changes of the current context into the target, by ctxvars."""
    target.run(ctxvars.changes_since(base).apply)


def bring_back_by_hand(base: contextvars.Context, target: contextvars.Context) -> None:
    """Copy the changes in a loop, as frameworks do: this overwrites values set in the target."""

    def apply() -> None:
        for variable, value in changes:
            variable.set(value)

    changes = [
        (variable, value)
        for variable, value in contextvars.copy_context().items()
        if base.get(variable) is not value
    ]
    target.run(apply)


def set_all(variables: list[Any]) -> None:
    for variable in variables:
        variable.set(object())


def turn(module: ModuleType, name: str, operate: Any) -> Turn:
    variables = [module.ContextVar(f"variable_{index}") for index in range(VARIABLES)]
    base = module.Context()
    base.run(set_all, variables)
    changed = base.copy()
    changed.run(set_all, variables[:: VARIABLES // CHANGES + 1])
    targets = [base.copy() for _ in range(TARGETS[name])]
    work = written_out(f"bring_back(base, {EACH})", {"bring_back": operate, "base": base}, targets)
    return Turn(partial(changed.run, work), len(targets))


def test_speed(benchmark: Any) -> None:
    def prepared_round() -> dict[str, Turn]:
        return {
            STDLIB: turn(contextvars, STDLIB, bring_back_by_hand),
            OURS: turn(ctxvars, OURS, bring_back),
        }

    Measurement(
        suite="changes",
        operation=f"changes_since + apply, {CHANGES} of {VARIABLES:_} variables",
        samples=measure(benchmark, prepared_round),
        bars=[Bar(20e-6, None)],
    ).record(benchmark)
