"""ctxvars against the standard library's contextvars, one operation at a time: `make bench`.

Each round makes new variables, because the speed of a set depends on the hashes of the variables.
"""

from __future__ import annotations

import asyncio
import contextvars
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from paired import OURS, WRITTEN_OUT, Turn, measure, written_out
from report import Bar, Measurement

import ctxvars

STDLIB = "contextvars"


class Operation(NamedTuple):
    """An operation, measured in a context in which `variables` variables are set."""

    name: str
    code: str
    variables: int
    bar: float | None
    """The highest acceptable ratio to the standard library, if there is one."""

    ours: str = ""
    """The code for ctxvars, if it needs only one operation where `code` needs several."""

    def code_on(self, module: ModuleType) -> str:
        return self.ours if self.ours and module is ctxvars else self.code

    @property
    def operations(self) -> int:
        return 1 if self.ours else self.code.count(";") + 1


FIVE = range(5)
FIVE_TOKENS = "; ".join(
    [f"token_{number} = set_{number}(one)" for number in FIVE]
    + [f"reset_{number}(token_{number})" for number in reversed(FIVE)]
)

SET = "set(one); set(two)"
"""The values differ, since setting the value that is there already is a short cut."""
SET_AND_RESET = "reset(set(one)); reset(set(two))"

OPERATIONS = [
    Operation("get() hit", "get()", 10, 1.0),
    Operation("get() hit, 1000 variables", "get()", 1000, 1.0),
    Operation("get(default)", "get_unset(None)", 10, 0.8),
    Operation("get(), default of the variable", "get_default()", 10, 0.8),
    Operation("set, 1 variable", SET, 1, 0.45),
    Operation("set, 10 variables", SET, 10, 0.35),
    Operation("set, 100 variables", SET, 100, 0.3),
    Operation("set, 1000 variables", SET, 1000, 0.25),
    Operation("set + reset, 1 variable", SET_AND_RESET, 1, 0.45),
    Operation("set + reset, 10 variables", SET_AND_RESET, 10, 0.35),
    Operation("set + reset, 1000 variables", SET_AND_RESET, 1000, 0.25),
    Operation("first set in a native copy, 1 variable", "copy_native().run(set, one)", 1, 1.0),
    Operation("first set in a native copy, 10 variables", "copy_native().run(set, one)", 10, 1.0),
    Operation("copy_context()", "copy()", 10, 1.05),
    Operation("copy_context().run(set)", "copy().run(set, one)", 10, 0.9),
    Operation("ctx.run(noop)", "run(noop)", 10, 1.05),
    Operation("ctx[var], 100 variables", "context[variable]", 100, 0.9),
    Operation("var in ctx, 100 variables", "variable in context", 100, 0.9),
    Operation("scope of 5 variables", FIVE_TOKENS, 10, 0.4, "with scope(five): pass"),
    Operation("scope of 5, made before", FIVE_TOKENS, 10, 0.15, "with made: pass"),
    Operation(
        "scope of 1 variable",
        "token = set(one); reset(token)",
        10,
        0.6,
        "with scope_of_one(one): pass",
    ),
    Operation("get(), default_factory", "get_default()", 10, 1.5, "get_made()"),
    Operation("Group.field", "get()", 10, 1.3, "group.one"),
    Operation("with Group, 5 fields", FIVE_TOKENS, 10, 1.0, "with group(**fields): pass"),
]
PASSES = 200


def noop() -> None:
    """Do nothing: the function that `run` calls."""


def fresh_group() -> type[ctxvars.Group]:
    class Fields(ctxvars.Group):
        one: object
        two: object
        three: object
        four: object
        five: object

    Fields.one = object()
    return Fields


def prepared(module: ModuleType, count: int) -> dict[str, Any]:
    """Return the names that operations use, with new variables that are set in this context."""
    variables = [module.ContextVar(f"variable_{index}") for index in range(count)]
    for variable in variables:
        variable.set(object())
    variable = variables[count // 2]
    context = module.copy_context()
    five = dict.fromkeys(variables[:5], object())
    names = {f"set_{number}": each.set for number, each in enumerate(five)}
    names |= {f"reset_{number}": each.reset for number, each in enumerate(five)}
    if module is ctxvars:
        group = fresh_group()
        names |= {
            "group": group,
            "fields": dict.fromkeys(group.variables, object()),
            "scope": ctxvars.scope,
            "five": five,
            "made": ctxvars.scope(five),
            "scope_of_one": variable.scope,
            "get_made": ctxvars.ContextVar("made", default_factory=object).get,
        }
    return names | {
        "get": variable.get,
        "get_unset": module.ContextVar("unset").get,
        "get_default": module.ContextVar("default", default=1).get,
        "set": variable.set,
        "reset": variable.reset,
        "copy": module.copy_context,
        "copy_native": contextvars.copy_context,
        "run": context.run,
        "noop": noop,
        "context": context,
        "variable": variable,
        "one": object(),
        "two": object(),
    }


def turn(module: ModuleType, operation: Operation) -> Turn:
    context = module.Context()
    names = context.run(prepared, module, operation.variables)
    operate = written_out(operation.code_on(module), names, [None] * WRITTEN_OUT, PASSES)
    return Turn(partial(context.run, operate), WRITTEN_OUT * PASSES * operation.operations)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_speed(benchmark: Any, operation: Operation) -> None:
    modules = {STDLIB: contextvars, OURS: ctxvars}

    def prepared_round() -> dict[str, Turn]:
        return {name: turn(module, operation) for name, module in modules.items()}

    Measurement(
        suite="contextvars",
        operation=operation.name,
        samples=measure(benchmark, prepared_round),
        bars=[] if operation.bar is None else [Bar(operation.bar, STDLIB)],
    ).record(benchmark)


TASKS = 50


def tasks(module: ModuleType) -> Turn:
    """Return the work of tasks that set 3 variables, read 10 times and await once."""
    variables = [module.ContextVar(f"variable_{index}", default=0) for index in range(10)]
    one = object()

    async def task() -> None:
        for variable in variables[:3]:
            variable.set(one)
        for variable in variables:
            variable.get()
        await asyncio.sleep(0)

    async def together() -> None:
        for _ in range(20):
            await asyncio.gather(*[task() for _ in range(TASKS)])

    return Turn(lambda: asyncio.run(together()), 20 * TASKS)


def test_tasks(benchmark: Any) -> None:
    modules = {STDLIB: contextvars, OURS: ctxvars}
    Measurement(
        suite="contextvars",
        operation="an asyncio task: 3 set, 10 get, 1 await",
        samples=measure(benchmark, lambda: {name: tasks(it) for name, it in modules.items()}),
        bars=[Bar(1.0, STDLIB)],
    ).record(benchmark)
