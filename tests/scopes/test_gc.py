"""The collector finds all that scopes refer to, and frees it with them."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Context, ContextVar, Scope, copy_context, scope
from tests.support.builds import IN_PLACE
from tests.support.concurrency import with_small_stack
from tests.support.gc.contexts import DEEP, SIZES, filled, holding, nodes
from tests.support.gc.reachability import check_cycle
from tests.support.gc.values import Value
from tests.support.subprocesses import in_subprocess


def scope_of_the_value(value: Value, context: Context) -> tuple[object, ...]:
    value.refs = [scope({ContextVar("v"): value, ContextVar("other"): 1})]
    return value, value.refs[0]


def scope_of_a_variable(value: Value, context: Context) -> tuple[object, ...]:
    made = ContextVar("v", default=value).scope(1)
    value.refs = [made]
    return value, made


def method_of_a_scope(value: Value, context: Context) -> tuple[object, ...]:
    made = ContextVar[Value]("v").scope(value)
    value.refs = [made.__enter__]
    return value, made


def entered_scope(value: Value, context: Context) -> tuple[object, ...]:
    """An entered scope refers to the old bindings and to the context, or its native token."""
    holding(context, ContextVar("before"), value)
    made = ContextVar[int]("v").scope(1)
    context.run(made.__enter__)
    value.refs = [made]
    return value, made


def scope_entered_where_it_is_a_value(value: Value, context: Context) -> tuple[object, ...]:
    """No part of the cycle but the scope has changed since it was made."""
    made = ContextVar[Value]("v").scope(value)
    holding(context, ContextVar("scope"), made)
    value.refs = [0]
    context.run(made.__enter__)
    return made, context


def scope_left_elsewhere(value: Value, context: Context) -> tuple[object, ...]:
    made = scope({ContextVar[Value]("v"): value})
    context.run(made.__enter__)
    copy = context.copy()
    copy.run(made.__exit__, None, None, None)
    value.refs = [made, copy, context]
    return value, made, context


CYCLES = [
    scope_of_the_value,
    scope_of_a_variable,
    method_of_a_scope,
    entered_scope,
    scope_entered_where_it_is_a_value,
    scope_left_elsewhere,
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("close", CYCLES, ids=lambda close: close.__name__)
def test_cycle_is_collected_once_unreachable_and_not_before(
    close: Callable[[Value, Context], tuple[object, ...]], size: int
) -> None:
    check_cycle(lambda: filled(size, Value), close)
    # The collector clears weak references first, also those to objects that it then cannot free.
    gc.collect()
    assert not [found for found in gc.get_objects() if type(found) is Scope]


def test_a_scope_shows_the_collector_all_that_it_holds() -> None:
    variable, other, value, context = ContextVar[Any]("v"), ContextVar[Any]("w"), [1], Context()
    holding(context, other, [2])
    before = context.bindings
    made = scope([(variable, value), (other, value)])
    assert gc.is_tracked(made)
    held = [variable, value, other, value, type(made)]
    assert [*map(id, gc.get_referents(made))] == [*map(id, held)]
    context.run(made.__enter__)
    entered = gc.get_referents(made)
    assert [*map(id, entered[:4])] == [*map(id, held[:4])]
    assert entered[4] is before
    if IN_PLACE:
        assert entered[5] is context.native
    else:
        # The mark is the token of the native root variable.
        assert context.native in gc.get_referents(entered[5])
    context.run(made.__exit__, None, None, None)
    assert [*map(id, gc.get_referents(made))] == [*map(id, held)]


def test_values_die_with_the_scope_and_what_was_before_when_it_is_left() -> None:
    variable, context = ContextVar[Value]("v"), Context()

    def inside() -> None:
        value, before = Value(), Value()
        variable.set(before)
        weak, weak_before = weakref.ref(value), weakref.ref(before)
        made = variable.scope(value)
        del value, before
        with made:
            variable.set(Value())
            assert weak() is not None
            assert weak_before() is not None
        assert variable.get() is weak_before()
        variable.delete()
        assert weak_before() is None
        assert weak() is not None
        del made
        assert weak() is None

    gc.disable()
    try:
        context.run(inside)
    finally:
        gc.enable()


def collect_at_every_step() -> int:
    """Use scopes while finalisers set variables; return how many finalisers ran."""
    gc.set_threshold(1, 1, 1)
    variables = [ContextVar[object](f"v{number}") for number in range(40)]
    noise, finalised = ContextVar[object]("noise"), 0

    class Garbage:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            nonlocal finalised
            finalised += 1
            noise.set([self])
            with noise.scope(Context()):
                pass

    def inside() -> None:
        for number in range(2000):
            Garbage()
            chosen = [variables[(number * step) % 40] for step in range(1, 6)]
            before = [variable.get(None) for variable in chosen]
            values = {variable: [number] for variable in chosen}
            with scope(values) as made:
                Garbage()
                assert all(variable.get() is values[variable] for variable in values)
                copy = copy_context()
                if number % 3 == 0:
                    chosen[number % 5].set(made)
                copy.run(variables[7].set, [copy, made])
            assert [variable.get(None) for variable in chosen] == before
            chosen[0].set([number, made])

    Context().run(inside)
    gc.collect()
    return finalised


def test_the_collector_at_every_step() -> None:
    assert in_subprocess(collect_at_every_step, timeout=120) >= 3900


def deep_scopes() -> None:
    variable, made = ContextVar[object]("v"), None
    for _ in range(DEEP):
        made = variable.scope(made)


def deep_entered_scopes() -> None:
    variable, made = ContextVar[object]("v"), None
    for _ in range(DEEP):
        context = Context()
        holding(context, variable, made)
        made = variable.scope(1)
        context.run(made.__enter__)


def drop(name: str) -> int:
    with_small_stack(globals()[name])
    gc.collect()
    return len(nodes())


@pytest.mark.parametrize("build", [deep_scopes, deep_entered_scopes], ids=lambda it: it.__name__)
def test_deep_drop(build: Callable[[], None]) -> None:
    assert in_subprocess(drop, build.__name__) == 0


def many_at_once() -> list[int]:
    """Blocks that stay allocated after each of several floods of scopes."""
    variable = ContextVar[object]("v")
    before, left = sys.getallocatedblocks(), []
    for _ in range(4):
        kept = [variable.scope([]) for _ in range(5000)]
        del kept
        gc.collect()
        left.append(sys.getallocatedblocks() - before)
    return left


def test_the_free_list_is_bounded() -> None:
    assert max(in_subprocess(many_at_once)) < 64 + 200
