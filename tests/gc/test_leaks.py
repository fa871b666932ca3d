"""Operations on contexts leave reference counts, objects and memory as they were."""

from __future__ import annotations

import contextvars
import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import Context, ContextVar, copy_context
from tests.support.gc.contexts import filled, holding, nodes
from tests.support.gc.values import Value
from tests.support.map.operations import raises
from tests.support.memory.growth import added_by, blocks_left_by, changed_counts
from tests.support.subprocesses import in_subprocess

pytestmark = pytest.mark.usefixtures("only_new_objects")


def loops(variable: Any, context: Any, value: object) -> dict[str, Callable[[], object]]:
    """Return operations that leave all objects unchanged, by name."""
    missing = ContextVar[int]("missing")
    used = variable.set(value)
    variable.reset(used)
    foreign = Context().run(variable.set, value)

    def fail() -> None:
        raise ValueError

    def set_twice() -> None:
        first = variable.set(value)
        missing.set(1)
        variable.reset(first)

    return {
        "set": lambda: variable.set(value),
        "set and reset": lambda: variable.reset(variable.set(value)),
        "reset after another change": lambda: Context().run(set_twice),
        "get": variable.get,
        "get a default": lambda: missing.get(value),
        "old value": lambda: variable.set(value).old_value,
        "variable of token": lambda: variable.set(value).var,
        "copy": context.copy,
        "copy_context": copy_context,
        "run": lambda: context.run(variable.set, value),
        "run that raises": lambda: raises(ValueError, context.run, fail),
        "look up": lambda: (context[variable], context.get(variable), variable in context),
        "iterate": lambda: (list(context), list(context.values()), list(context.items())),
        "begin to iterate": lambda: next(iter(context.items())),
        "compare": lambda: (context == context.copy(), context == Context(), context != 1),
        "native": lambda: (context.native, Context.wrap(context.native)),
        "make": lambda: (ContextVar("v", default=value), Context()),
        "repr": lambda: (repr(variable), repr(context), repr(used)),
        "no value": lambda: raises(LookupError, missing.get),
        "no such key": lambda: raises(KeyError, context.__getitem__, missing),
        "wrong key": lambda: raises(TypeError, context.__getitem__, value),
        "used token": lambda: raises(RuntimeError, variable.reset, used),
        "other variable": lambda: raises(ValueError, missing.reset, foreign),
        "other context": lambda: raises(ValueError, variable.reset, foreign),
        "wrong token": lambda: raises(TypeError, variable.reset, value),
        "wrong native": lambda: raises(TypeError, Context.wrap, value),
        "entered": lambda: context.run(raises, RuntimeError, context.run, fail),
        "wrong arguments": lambda: raises(TypeError, ContextVar, value),
        "unhashable": lambda: raises(TypeError, hash, context),
    }


LOOPS = list(Context().run(loops, ContextVar("v"), Context(), None))


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("name", LOOPS)
def test_reference_counts_and_objects_stay_flat(name: str, size: int) -> None:
    def inside() -> None:
        variable, value, context = ContextVar[object]("v"), Value(), filled(size, Value)
        holding(context, variable, value)
        variable.set(value)
        loop = loops(variable, context, value)[name]
        counted: list[object] = [value, variable, context, context.native, value.refs]
        counted += [ContextVar, Context, type(variable.set(value)), None, ctxvars.Token.MISSING]
        counted += [type(iter(context)), *nodes()[:1]]
        # Counts of objects such as None may change by a few.
        assert all(abs(it) < 50 for it in changed_counts(loop, counted, warm_up=10, times=500))

    Context().run(inside)


def many_operations() -> dict[str, int]:
    """What 40 000 rounds of operations add to the memory in use."""
    variables = [ContextVar[object](f"v{number}") for number in range(40)]
    context = Context()

    def work(rounds: int) -> None:
        for number in range(rounds):
            variable = variables[number % 40]
            token = variable.set([number])
            if number % 3:
                variable.reset(token)
            copied = copy_context()
            copied.run(variable.set, number)
            for _ in copied.items():
                break

    return added_by(lambda rounds: context.run(work, rounds), 4_000)


def test_memory_is_flat_over_many_operations() -> None:
    added = in_subprocess(many_operations)
    assert added["blocks"] < 200
    assert added.get("resident", 0) < 1 << 20


def many_at_once() -> list[int]:
    """Blocks that stay allocated after each of several floods of objects."""

    def flood() -> None:
        variables = [ContextVar[object](f"v{number}") for number in range(200)]
        kept: list[object] = [Context() for _ in range(5_000)]
        for variable in variables:
            kept.append(variable.set([]))
            kept.append(copy_context())
        kept += [variables[0].set([]) for _ in range(5_000)]
        kept += [iter(copy_context()) for _ in range(5_000)]

    return blocks_left_by(lambda: Context().run(flood))


def test_free_lists_are_bounded() -> None:
    left = in_subprocess(many_at_once)
    # Tokens, contexts, and nodes of up to 32 words: the floods were of 30 000 objects.
    assert max(left) < 64 + 64 + 33 * 32 + 400
    assert max(left[1:]) - min(left[1:]) < 200


def test_the_token_after_a_set_that_failed_is_freed() -> None:
    def inside() -> weakref.ref[Value]:
        variable = ContextVar[object]("v")
        variable.set(Value())
        native = contextvars.copy_context()
        ((root, bindings),) = native.items()
        root.set("set by other code")
        with pytest.raises(RuntimeError):
            variable.set("fails")
        root.set(bindings)
        old = variable.get()
        token = variable.set("succeeds")
        assert token.old_value is old
        # `getrefcount` counts references of the call, too. Their number depends on the version.
        fresh = object()
        assert sys.getrefcount(token) == sys.getrefcount(fresh)
        return weakref.ref(old)

    weak = contextvars.Context().run(inside)
    gc.collect()
    assert weak() is None
