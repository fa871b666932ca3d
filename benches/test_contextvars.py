"""ctxvars against the standard library's contextvars, one operation at a time: `make bench`.

The two take turns, round by round, so that a machine whose speed drifts slows both; what counts is
the median of the ratios of the pairs. An operation is written out many times in a function, so
that what is measured besides it is one loop step in fifty. Each round gets variables of its own:
how fast a set is depends on where the hashes of the variables happen to fall.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from time import perf_counter
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import ctxvars


class Operation(NamedTuple):
    """What to measure, in a context of `variables` variables that have been set."""

    name: str
    code: str
    variables: int
    bar: float
    """The highest acceptable ratio to the standard library."""


OPERATIONS = [
    Operation("get() hit", "get()", 10, 1.05),
    Operation("get(default)", "get_unset(None)", 10, 1.15),
    Operation("get(), default of the variable", "get_default()", 10, 1.15),
    # The values differ, since setting the value that is there already is a short cut.
    Operation("set, 10 variables", "set(one); set(two)", 10, 1.0),
    Operation("set, 1 variable", "set(one); set(two)", 1, 1.35),
    Operation("set, 1000 variables", "set(one); set(two)", 1000, 0.6),
    Operation("set + reset, 10 variables", "reset(set(one)); reset(set(two))", 10, 1.0),
    Operation("set + reset, 1 variable", "reset(set(one)); reset(set(two))", 1, 1.35),
    Operation("copy_context()", "copy()", 10, 1.4),
    Operation("ctx.run(noop)", "run(noop)", 10, 1.15),
    Operation("ctx[var], 100 variables", "context[variable]", 100, 1.0),
]
WRITTEN_OUT = 50
LOOPS = 200
ROUNDS = 100


def noop() -> None:
    """What `run` runs."""


def compiled(code: str) -> Callable[[dict[str, Any]], None]:
    """A function that does `code` many times with the given names as its local variables."""
    names = ["get", "get_unset", "get_default", "set", "reset", "copy", "run", "noop"]
    names += ["context", "variable", "one", "two"]
    lines = ["def operate(names):"]
    lines += [f"    {name} = names['{name}']" for name in names]
    lines += [f"    for _ in range({LOOPS}):"]
    lines += [f"        {code}"] * WRITTEN_OUT
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)
    operate: Callable[[dict[str, Any]], None] = scope["operate"]
    return operate


def prepared(module: ModuleType, count: int) -> dict[str, Any]:
    """The names that an operation may use, with fresh variables, set in the current context."""
    variables = [module.ContextVar(f"variable_{index}") for index in range(count)]
    for variable in variables:
        variable.set(object())
    variable = variables[count // 2]
    context = module.copy_context()
    return {
        "get": variable.get,
        "get_unset": module.ContextVar("unset").get,
        "get_default": module.ContextVar("default", default=1).get,
        "set": variable.set,
        "reset": variable.reset,
        "copy": module.copy_context,
        "run": context.run,
        "noop": noop,
        "context": context,
        "variable": variable,
        "one": object(),
        "two": object(),
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_speed(benchmark: Any, operation: Operation) -> None:
    operate = compiled(operation.code)
    stdlib: list[float] = []

    def prepare(module: ModuleType) -> tuple[Any, ...]:
        fresh = module.Context()
        return fresh.run, operate, fresh.run(prepared, module, operation.variables)

    def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
        run, *arguments = prepare(contextvars)
        start = perf_counter()
        run(*arguments)
        stdlib.append(perf_counter() - start)
        return prepare(ctxvars), {}

    def one_round(run: Any, *arguments: Any) -> None:
        run(*arguments)

    benchmark.pedantic(one_round, setup=setup, rounds=ROUNDS)
    assert len(stdlib) >= 1
    benchmark.extra_info.update(
        stdlib=stdlib[-ROUNDS:],
        operations=LOOPS * WRITTEN_OUT * (operation.code.count(";") + 1),
        bar=operation.bar,
    )
