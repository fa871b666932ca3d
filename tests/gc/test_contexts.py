"""Cycles through contexts, variables, tokens and iterators are collected once unreachable."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest

from ctxvars import Context, ContextVar, copy_context
from tests.support.builds import FREE_THREADED, IN_PLACE
from tests.support.gc.contexts import SIZES, filled, holding, nodes, referrers_among_nodes
from tests.support.gc.reachability import check_cycle
from tests.support.gc.values import Value

pytestmark = pytest.mark.usefixtures("only_new_objects")

# Each function below closes a cycle through `value` and the context, and returns some members of
# the cycle. Each of them must keep the whole cycle alive.


def value_context(value: Value, context: Context) -> tuple[object, ...]:
    holding(context, ContextVar("v"), value)
    value.refs = [context]
    return value, context


def value_copy_made_inside(value: Value, context: Context) -> tuple[object, ...]:
    def inside() -> Context:
        ContextVar[Value]("v").set(value)
        value.refs = [copy_context()]
        return value.refs[0]

    return value, context.run(inside)


def variable_context(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar("v", default=value)
    holding(context, variable, 1)
    value.refs = [context]
    return value, variable, context


def default_variable(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar("v", default=value)
    value.refs = [variable, context]
    return value, variable


def variable_methods(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar("v", default=value)
    value.refs = [variable.set, context.run]
    return value, variable.get


def name_variable(value: Value, context: Context) -> tuple[object, ...]:
    class Name(str):
        refs: list[object]

    name = Name("v")
    name.refs = [value]
    variable = ContextVar[int](name)
    value.refs = [variable]
    return value, variable, name


def token_of_this_value(value: Value, context: Context) -> tuple[object, ...]:
    token = context.run(ContextVar[Value]("v").set, value)
    value.refs = [token]
    return value, token, context


def token_of_later_change(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar[Value | None]("v")
    holding(context, variable, value)
    token = context.run(variable.set, None)
    value.refs = [token]
    return value, token


def token_keeps_old_bindings(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar[Value | None]("v")
    holding(context, variable, value)
    token = context.run(ContextVar[int]("other").set, 1)
    holding(context, variable, None)
    value.refs = [token]
    return value, token


def token_keeps_its_context(value: Value, context: Context) -> tuple[object, ...]:
    holding(context, ContextVar("v"), value)
    token = context.run(ContextVar[int]("other").set, 1)
    value.refs = [token]
    return value, token, context.native


def token_in_dict(value: Value, context: Context) -> tuple[object, ...]:
    box: dict[str, object] = {"value": value}
    box["token"] = context.run(ContextVar[object]("v").set, box)
    value.refs = [box]
    return value, box, context


def used_token(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar[Value]("v")
    holding(context, variable, value)
    token = context.run(variable.set, Value())
    context.run(variable.reset, token)
    value.refs = [token]
    return value, token, context


def nested_contexts(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar[object]("v")
    inner = context
    for _ in range(5):
        outer = Context()
        holding(outer, variable, inner)
        inner = outer
    holding(context, variable, value)
    value.refs = [inner]
    return value, inner, context


def keys(value: Value, context: Context) -> tuple[object, ...]:
    holding(context, ContextVar("v", default=value), 1)
    value.refs = [context.keys()]
    return value, context


def values(value: Value, context: Context) -> tuple[object, ...]:
    holding(context, ContextVar("v"), value)
    value.refs = [context.values()]
    return value, value.refs[0], context


def items_half_way(value: Value, context: Context) -> tuple[object, ...]:
    holding(context, ContextVar("v"), value)
    items = iter(context.items())
    next(items)
    value.refs = [items]
    return value, items


def native_context(value: Value, context: Context) -> tuple[object, ...]:
    holding(context, ContextVar("v"), value)
    value.refs = [context.native]
    return value, context, context.native


def facade_and_native(value: Value, context: Context) -> tuple[object, ...]:
    holding(context, ContextVar("v"), value)
    value.refs = [Context.wrap(context.native), context, context.native]
    return value, context.native


def shared_nodes(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar[Value]("v")
    holding(context, variable, value)
    copies = [context.copy() for _ in range(3)]
    for number, copied in enumerate(copies):
        holding(copied, ContextVar("only here"), number)
    value.refs = copies
    return value, context, *copies


def unshared_nodes(value: Value, context: Context) -> tuple[object, ...]:
    variable = ContextVar[Value]("v")
    other = filled(len(context) + 1, Value)
    between = Value()
    between.refs = [context]
    holding(context, variable, value)
    holding(other, variable, between)
    value.refs = [other]
    return value, context, other, between


def suspended_generator(value: Value, context: Context) -> tuple[object, ...]:
    def generate(context: Context) -> Iterator[None]:
        ContextVar[Value]("v").set(value)
        yield

    generator = generate(context)
    context.run(next, generator)
    value.refs = [generator]
    return value, generator, context


def traceback(value: Value, context: Context) -> tuple[object, ...]:
    def fail(context: Context) -> None:
        ContextVar[Value]("v").set(value)
        raise ValueError

    try:
        context.run(fail, context)
    except ValueError as error:
        value.refs = [error]
    return value, context


CYCLES = [
    value_context,
    value_copy_made_inside,
    variable_context,
    default_variable,
    variable_methods,
    name_variable,
    token_of_this_value,
    token_of_later_change,
    # Where variables are set in place, a token keeps no other values than its own.
    *([] if IN_PLACE else [token_keeps_old_bindings]),
    token_keeps_its_context,
    token_in_dict,
    used_token,
    nested_contexts,
    keys,
    values,
    items_half_way,
    native_context,
    facade_and_native,
    shared_nodes,
    unshared_nodes,
    suspended_generator,
    traceback,
]


@pytest.mark.parametrize("filler", [int, Value], ids=["beside atoms", "beside objects"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("close", CYCLES, ids=lambda close: close.__name__)
def test_cycle_is_collected_once_unreachable_and_not_before(
    close: Callable[[Value, Context], tuple[object, ...]],
    size: int,
    filler: Callable[[int], object],
) -> None:
    check_cycle(lambda: filled(size, filler), close)


@pytest.mark.parametrize("size", SIZES)
def test_shared_nodes_die_with_their_last_context(size: int) -> None:
    base = filled(size, Value)
    holding(base, ContextVar("cycle"), base)
    contexts = [base]
    for number in range(10):
        # Each context shares most nodes with the one before, and closes another cycle.
        derived = contexts[-1].copy()
        holding(derived, ContextVar("cycle"), [derived, Value(number)])
        contexts.append(derived)
    shared = [weakref.ref(value) for value in base.values() if isinstance(value, Value)]
    del base, derived
    for dropped in (0, 4, 4, 7, 0, 1):
        del contexts[dropped]
        gc.collect()
        for context in contexts:
            numbers = [value.number for value in context.values() if isinstance(value, Value)]
            assert sorted(numbers) == list(range(size - 1))
    assert all(weak() for weak in shared)
    contexts.clear()
    del context
    gc.collect()
    assert not any(weak() for weak in shared)


def test_collector_sees_each_reference_of_a_shared_node_once() -> None:
    context = filled(10, int)
    value = Value()
    holding(context, ContextVar("v"), value)
    copies = [context.copy() for _ in range(5)]
    referrers = referrers_among_nodes(value)
    assert len(referrers) == 1
    assert [found for found in gc.get_referents(referrers[0]) if found is value] == [value]
    assert len(copies) == 5


ATOMS = [1, "text", b"bytes", 1.5, None, True, (), ..., 10**30, frozenset]


@pytest.mark.parametrize("size", SIZES)
def test_atomic_bindings_are_invisible_to_the_collector(size: int) -> None:
    before = len(nodes())
    context = Context()
    for number in range(size):
        holding(context, ContextVar(f"v{number}"), ATOMS[number % 9])
    untracked_tuple = (1, "a")
    gc.collect()
    assert not gc.is_tracked(untracked_tuple)
    variable = ContextVar[object]("tuple")
    holding(context, variable, untracked_tuple)
    assert not gc.is_tracked(variable)
    copied = context.copy()
    context.run(variable.get)
    assert len(nodes()) == before
    holding(context, variable, [])
    tracked = len(nodes()) - before
    # The path from the root to the list, not the whole map.
    assert 1 <= tracked <= 4
    assert size < 16 or tracked < 5
    assert len(copied) == size + 1
    del context
    assert len(nodes()) == before, "the copy is still made of atoms"


def test_tracking_spreads_to_every_copy_of_a_tracked_node() -> None:
    variable = ContextVar[object]("v")
    context = filled(100, int)
    holding(context, variable, [])
    before = {id(node) for node in nodes()}
    copied = context.copy()
    for number, other in enumerate(list(copied)):
        if other is not variable:
            holding(copied, other, number)
    leaves = referrers_among_nodes(context[variable])
    assert 1 <= len(leaves) <= 2
    assert {id(node) for node in nodes()} > before


def test_size_of_nodes() -> None:
    sizes = []
    context = Context()
    for number in range(16):
        holding(context, ContextVar("v"), [number])
        (node,) = nodes()
        sizes.append(sys.getsizeof(node))
        # `getsizeof` adds the header of the collector. Free-threaded builds have it in the object.
        assert sizes[-1] == node.__sizeof__() + (0 if FREE_THREADED else 16)
        del node
    pointers_and_hash = 2 * 8 + 2 * 4
    for entries, size in enumerate(sizes, start=1):
        assert entries * pointers_and_hash <= size - 64 <= entries * pointers_and_hash + 16
    holding(context, ContextVar("v"), [16])
    assert all(48 < sys.getsizeof(node) <= 512 for node in nodes())
