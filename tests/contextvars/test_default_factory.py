"""`ContextVar(name, default_factory=...)`: a default for each context."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest

from ctxvars import Context, ContextVar, Token, copy_context
from tests.support.gc.values import SetsWhenFreed, Value


def counting() -> tuple[ContextVar[int], Callable[[], int]]:
    """Return a variable whose defaults are numbered, and a function that counts the calls."""
    numbers = count()
    calls: list[int] = []

    def factory() -> int:
        calls.append(next(numbers))
        return calls[-1]

    return ContextVar("numbered", default_factory=factory), lambda: len(calls)


def test_a_default_is_made_once_for_each_context() -> None:
    variable, calls = counting()
    first, second = Context(), Context()
    assert calls() == 0
    assert [first.run(variable.get) for _ in range(3)] == [0, 0, 0]
    assert [second.run(variable.get) for _ in range(3)] == [1, 1, 1]
    assert first.run(variable.get) == 0
    assert calls() == 2


def test_copies_do_not_inherit_a_made_default() -> None:
    variable, calls = counting()
    context = Context()
    assert context.run(variable.get) == 0
    copies = [context.copy(), context.run(copy_context), Context.wrap(context.native.copy())]
    copies.append(copies[0].copy())
    assert [copy.run(variable.get) for copy in copies] == [1, 2, 3, 4]
    assert [copy.run(variable.get) for copy in copies] == [1, 2, 3, 4]
    # A copy of a copy with a default makes its own default, and the first copy keeps its default.
    assert copies[0].copy().run(variable.get) == 5
    assert context.run(variable.get) == 0
    assert calls() == 6


def test_a_context_at_the_address_of_a_freed_one_makes_its_default() -> None:
    """A new context can get the address of a freed one whose default it knows from copies."""
    variable = ContextVar("v", default_factory=Value)
    contexts = [contextvars.Context()]
    addresses, values = [], []
    for _ in range(200):
        addresses.append(id(contexts[0]))
        values.append(contexts[0].run(variable.get))
        contexts.append(contexts[0].copy())
        del contexts[0]
        contexts.append(contexts[0].copy())
        del contexts[0]
    assert len({*addresses}) < 200
    assert len({*map(id, values)}) == 200


def test_tasks_and_threads_do_not_share_a_made_default() -> None:
    variable = ContextVar[list[int]]("items", default_factory=list)

    async def task(number: int) -> list[int]:
        variable.get().append(number)
        await asyncio.sleep(0)
        variable.get().append(number)
        return variable.get()

    async def main() -> None:
        mine = variable.get()
        made = await asyncio.gather(task(1), task(2), asyncio.to_thread(variable.get))
        assert made == [[1, 1], [2, 2], []]
        assert mine == []
        assert variable.get() is mine

    asyncio.run(main())
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(variable.get())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(value) for value in found}) == 3


def test_a_made_default_is_not_a_value_of_the_context() -> None:
    variable, calls = counting()

    def inside() -> None:
        assert variable.get("argument") == "argument"
        assert calls() == 0
        assert variable.get() == 0
        assert not variable.is_set()
        assert variable not in copy_context()
        assert len(copy_context()) == 0
        assert variable.get("argument") == "argument"
        with pytest.raises(LookupError):
            variable.delete()
        token = variable.set(10)
        assert token.old_value is Token.MISSING
        assert variable.get() == 10
        assert copy_context().run(variable.get) == 10  # what is set is shared
        variable.reset(token)
        assert variable.get() == 0
        with variable.scope(11), variable.delete():
            assert variable.get() == 0
        assert calls() == 1

    Context().run(inside)


def test_a_factory_that_fails_leaves_nothing() -> None:
    results: list[int] = []

    def factory() -> int:
        if not results:
            raise ZeroDivisionError
        return results[0]

    variable = ContextVar("v", default_factory=factory)

    def inside() -> None:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                variable.get()
        assert len(contextvars.copy_context()) == 0
        results.append(5)
        assert variable.get() == 5
        results[0] = 6
        assert variable.get() == 5

    contextvars.Context().run(inside)


def test_a_factory_that_reads_its_variable_is_called_again() -> None:
    endless: ContextVar[int] = ContextVar("endless", default_factory=lambda: endless.get())
    with pytest.raises(RecursionError):
        Context().run(endless.get)
    depth: list[int] = []

    def factory() -> object:
        depth.append(1)
        return variable.get() and object() if len(depth) < 3 else object()

    variable: ContextVar[object] = ContextVar("v", default_factory=factory)

    def inside() -> None:
        # The innermost call returned first, and its result is kept.
        assert variable.get() is variable.get()
        assert len(depth) == 3

    Context().run(inside)


def test_a_factory_that_uses_contexts() -> None:
    other = ContextVar[str]("other")

    def factory() -> tuple[str, list[int]]:
        other.set("set by the factory")
        return other.get(), copy_context().run(inner.get)

    inner = ContextVar[list[int]]("inner", default_factory=list)
    variable = ContextVar("v", default_factory=factory)

    def inside() -> None:
        assert variable.get() == ("set by the factory", [])
        assert other.get() == "set by the factory"
        assert inner.get() is not variable.get()[1]

    Context().run(inside)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^cannot specify both default and default_factory$"):
        ContextVar("v", default=None, default_factory=list)  # type: ignore[call-overload]
    for wrong in (None, 1, "list"):
        with pytest.raises(TypeError, match=r"argument 'default_factory' must be callable, got"):
            ContextVar("v", default_factory=wrong)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        ContextVar("v", default_factory=list, factory=list)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="name must be a str"):
        ContextVar(1, default_factory=list)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="get expected at most 1 argument, got 2"):
        ContextVar("v", default_factory=list).get(1, 2)  # type: ignore[call-overload]


def test_repr_names_the_factory() -> None:
    variable = ContextVar("v", default_factory=list)
    expected = f"<ContextVar name='v' default_factory=<class 'list'> at {id(variable):#x}>"
    assert repr(variable) == expected


def test_the_native_variable_set_by_other_code() -> None:
    """A value that other code puts in the place of a default is not used as a default."""
    variable, calls = counting()

    def inside() -> None:
        assert variable.get() == 0
        (native,) = contextvars.copy_context()
        for wrong in (None, 1, copy_context().native):
            native.set(wrong)
            assert variable.get() == calls() - 1
            assert variable.get() == calls() - 1
        made = native.get()
        contextvars.Context().run(lambda: (native.set(made), variable.get()))
        assert calls() == 5

    contextvars.Context().run(inside)


# Memory.


def test_a_made_default_is_freed_with_its_context() -> None:
    """Without the collector: neither the default nor the variable refers to the context."""
    variable = ContextVar("v", default_factory=Value)
    context = Context()
    made = weakref.ref(context.run(variable.get))
    native = weakref.ref(context.native)
    gc.collect()
    assert made() is context.run(variable.get)
    gc.disable()
    try:
        del context
        assert made() is None
        assert native() is None
    finally:
        gc.enable()


CYCLES: dict[str, Callable[[Value, ContextVar[Any], Context], list[object]]] = {
    "variable": lambda value, variable, context: [variable],
    "context": lambda value, variable, context: [context],
    "native context": lambda value, variable, context: [context.native],
    "copy of the context": lambda value, variable, context: [context.copy()],
    "method": lambda value, variable, context: [variable.get, context.run],
}


@pytest.mark.parametrize("cycle", CYCLES)
def test_cycles_are_collected(cycle: str) -> None:
    variable, context = ContextVar("v", default_factory=Value), Context()
    value = context.run(variable.get)
    value.refs = CYCLES[cycle](value, variable, context)
    died = weakref.ref(value)
    del value
    gc.collect()
    assert died() is context.run(variable.get)
    del variable, context
    gc.collect()
    assert died() is None


def test_a_factory_in_a_cycle_is_collected() -> None:
    holder = Value()
    holder.refs = [ContextVar("v", default_factory=partial(len, holder.refs)), holder]
    holder.refs.append(ContextVar("w", default_factory=partial(id, holder)))
    died = weakref.ref(holder)
    del holder
    gc.collect()
    assert died() is None


def test_the_collector_at_every_step() -> None:
    variable = ContextVar("v", default_factory=Value)
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        contexts = [Context() for _ in range(10)]
        for _ in range(3):
            values = [context.run(variable.get) for context in contexts]
            for value, context in zip(values, contexts, strict=True):
                value.refs = [context, [variable]]
            assert values == [context.run(variable.get) for context in contexts]
            copies = [context.copy().run(variable.get) for context in contexts]
            assert not {*map(id, copies)} & {*map(id, values)}
    finally:
        gc.set_threshold(*threshold)


def test_a_finaliser_of_a_made_default_may_set_variables() -> None:
    """The copy drops its reference to the default of its parent while it makes its own default."""
    other = ContextVar[Any]("other")
    variable = ContextVar("v", default_factory=lambda: SetsWhenFreed(other))
    context = Context()
    context.run(variable.get)
    copy = context.copy()
    del context
    made = copy.run(variable.get)
    assert copy.run(variable.get) is made
    assert copy[other] == "set by a finaliser"


def test_references_are_balanced() -> None:
    value = object()
    factory = lambda: value  # noqa: E731
    variable = ContextVar("v", default_factory=factory)
    context = Context()
    counts = [sys.getrefcount(it) for it in (value, factory, variable, context.native)]
    for _ in range(100):
        context.copy().run(variable.get)
        assert Context().run(variable.get) is value
        ContextVar("w", default_factory=factory)
    assert [sys.getrefcount(it) for it in (value, factory, variable, context.native)] == counts


def test_deeply_nested_defaults_are_freed_with_a_bounded_stack() -> None:
    nest: object = None
    for _ in range(100_000):
        inner = nest

        def factory(inner: object = inner) -> object:
            return inner

        context = Context()
        variable = ContextVar("v", default_factory=factory)
        context.run(variable.get)
        nest = context
        del inner, context, variable, factory
    del nest
