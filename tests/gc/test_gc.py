"""Garbage collection: nothing leaks, and nothing dies before its time.

The proof that nodes shared by several contexts need: whatever is in a cycle through contexts,
variables, tokens or iterators is collected, and whatever is reachable is not.
"""

from __future__ import annotations

import contextvars
import gc
import importlib
import resource
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from itertools import count
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import ctxvars
from ctxvars import Context, ContextVar, Map, copy_context
from tests.support.builds import FREE_THREADED
from tests.support.isolated import isolated
from tests.support.reachability import Value, check_cycle

pytestmark = pytest.mark.usefixtures("only_new_objects")

MODULES = [contextvars, ctxvars]
# A flat context, the largest flat one, the smallest with a branch, and deeper ones.
SIZES = [1, 16, 17, 100, 1000]
DEEP = 300_000


def holding(context: Any, variable: Any, value: object) -> None:
    """Set a variable there, and drop the token."""
    context.run(variable.set, value)


def filled(size: int, filler: Callable[[int], object]) -> Context:
    """A context of `size - 1` variables, to which the test adds its own."""
    context = Context()
    for number in range(size - 1):
        holding(context, ContextVar(f"filler {number}"), filler(number))
    return context


# The root of each map is a Map; the other nodes are of a class that has no public name.
NODE_CLASSES = (Map, type(gc.get_referents(Map.fromkeys(range(100), []))[0]))


def nodes() -> list[Any]:
    """All nodes that the collector knows."""
    return [found for found in gc.get_objects() if type(found) in NODE_CLASSES]


def referrers_among_nodes(value: object) -> list[Any]:
    """The nodes that refer to a value, found by identity."""
    return [found for found in gc.get_referrers(value) if type(found) in NODE_CLASSES]


# Each function below closes a cycle through `value` and the context and returns some members of
# it: any of them keeps all of it alive.


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
    token_keeps_old_bindings,
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
        # Each shares most nodes with the one before, and closes a cycle of its own.
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
        # In front of it is the header of the collector, which a free-threaded build has inside.
        assert sizes[-1] == node.__sizeof__() + (0 if FREE_THREADED else 16)
        del node
    pointers_and_hash = 2 * 8 + 2 * 4
    for entries, size in enumerate(sizes, start=1):
        assert entries * pointers_and_hash <= size - 64 <= entries * pointers_and_hash + 16
    holding(context, ContextVar("v"), [16])
    assert all(48 < sys.getsizeof(node) <= 512 for node in nodes())


# Reference counts and memory.


def loops(variable: Any, context: Any, value: object) -> dict[str, Callable[[], object]]:
    """Operations that leave everything as it was."""
    missing = ContextVar[int]("missing")
    used = variable.set(value)
    variable.reset(used)
    foreign = Context().run(variable.set, value)

    def raises(expected: type[Exception], function: Callable[..., object], *args: Any) -> None:
        try:
            function(*args)
        except expected:
            return
        raise AssertionError(expected)

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

        def state() -> list[int]:
            gc.collect()
            return [sys.getrefcount(one) for one in counted] + [len(gc.get_objects())]

        for _ in range(10):
            loop()
        before = state()
        for _ in range(500):
            loop()
        for old, new in zip(before, state(), strict=True):
            # A count of the interpreter's own, such as that of None, may move by a few.
            assert abs(new - old) < 50

    Context().run(inside)


def many_operations() -> tuple[int, int]:
    """Growth of allocated blocks and of the resident set (KiB) over 200 000 operations."""
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

    def measured(rounds: int) -> tuple[int, int]:
        context.run(work, rounds)
        gc.collect()
        return sys.getallocatedblocks(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    measured(4_000)
    before = measured(4_000)
    after = measured(40_000)
    return after[0] - before[0], after[1] - before[1]


def test_memory_is_flat_over_many_operations() -> None:
    blocks, resident = isolated(many_operations)
    assert blocks < 200
    assert resident < 1024


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

    left = []
    flood_free = sys.getallocatedblocks()
    for _ in range(5):
        Context().run(flood)
        gc.collect()
        left.append(sys.getallocatedblocks() - flood_free)
    return left


def test_free_lists_are_bounded() -> None:
    left = isolated(many_at_once)
    # Tokens, contexts, and nodes of up to 32 words: the floods were of 30 000 objects.
    assert max(left) < 64 + 64 + 33 * 32 + 400
    assert max(left[1:]) - min(left[1:]) < 200


# Deep drops, and finalisers that run while nodes are being dropped.


def deep_contexts() -> None:
    variable = ContextVar[object]("v")
    context = Context()
    for _ in range(DEEP):
        outer = Context()
        holding(outer, variable, context)
        context = outer


def deep_contexts_in_containers() -> None:
    variable = ContextVar[object]("v")
    context = Context()
    for number in range(DEEP):
        outer = Context()
        wrapped: object = ([context], {"context": (context,)}, Value())[number % 2]
        holding(outer, variable, wrapped)
        context = outer


def deep_keys() -> None:
    context = Context()
    for _ in range(DEEP):
        outer = Context()
        holding(outer, ContextVar("v", default=context), 1)
        context = outer


def deep_tokens() -> None:
    variable = ContextVar[object]("v")

    def inside() -> None:
        token: object = None
        for _ in range(DEEP):
            token = variable.set(token)

    Context().run(inside)


def deep_tokens_of_many_contexts() -> None:
    variable = ContextVar[object]("v")
    token: object = None
    for _ in range(DEEP):
        token = Context().run(variable.set, token)


def deep_iterators() -> None:
    variable = ContextVar[object]("v")
    iterator: object = None
    for _ in range(DEEP):
        context = Context()
        holding(context, variable, iterator)
        iterator = context.values()


def deep_defaults() -> None:
    variable: object = None
    for _ in range(DEEP):
        variable = ContextVar("v", default=variable)


def deep_ring() -> None:
    variable = ContextVar[object]("v")
    first = context = Context()
    for _ in range(DEEP):
        outer = Context()
        holding(outer, variable, context)
        context = outer
    holding(first, variable, context)


def deep_finalisers() -> None:
    variable, number = ContextVar[object]("v"), ContextVar("number", default=0)
    finalised = count()

    class Link:
        def __init__(self, context: Context) -> None:
            self.context = context

        def __del__(self) -> None:
            number.set(number.get() + 1)
            holding(Context(), variable, Value(next(finalised)))

    def inside() -> None:
        context = Context()
        for _ in range(DEEP // 10):
            outer = Context()
            holding(outer, variable, Link(context))
            context = outer
        del context, outer
        assert number.get() == next(finalised) == DEEP // 10

    Context().run(inside)


DEEP_DROPS = [
    deep_contexts,
    deep_contexts_in_containers,
    deep_keys,
    deep_tokens,
    deep_tokens_of_many_contexts,
    deep_iterators,
    deep_defaults,
    deep_ring,
    deep_finalisers,
]


def drop(name: str) -> int:
    """Build something deep and drop it; return how many nodes are left."""
    globals()[name]()
    gc.collect()
    return len(nodes())


@pytest.mark.parametrize("build", DEEP_DROPS, ids=lambda build: build.__name__)
def test_deep_drop(build: Callable[[], None]) -> None:
    assert isolated(drop, build.__name__) == 0


def dies_while_another_thread_finalises(name: str) -> bool:
    """Whether a value dies at once while another thread is deep in dropping contexts."""
    module = importlib.import_module(name)
    variable = module.ContextVar("v")
    started, ended = threading.Event(), threading.Event()

    class Slow:
        def __del__(self) -> None:
            started.set()
            ended.wait(20)

    context = module.Context()
    holding(context, variable, Slow())
    for _ in range(100):
        outer = module.Context()
        holding(outer, variable, context)
        context = outer
    box = [context]
    del context, outer
    thread = threading.Thread(target=box.clear)
    thread.start()
    started.wait()
    value = Value()
    weak = weakref.ref(value)
    holding(module.Context(), variable, value)
    del value
    dead = weak() is None
    ended.set()
    thread.join()
    return dead


@pytest.mark.parametrize("module", MODULES)
def test_threads_do_not_wait_for_each_others_drops(module: ModuleType) -> None:
    assert isolated(dies_while_another_thread_finalises, module.__name__)


def test_resurrected_values_keep_their_context() -> None:
    risen: list[Any] = []

    class Phoenix(Value):
        def __del__(self) -> None:
            risen.append(self)

    variable = ContextVar[Any]("v")
    value, context = Phoenix(7), filled(100, Value)
    token = context.run(variable.set, value)
    value.refs = [context, token, context.items()]
    weak = weakref.ref(context)
    del value, context, token
    gc.collect()
    (value,) = risen
    context, token, items = value.refs
    assert context[variable] is value
    assert len(dict(items)) == 100
    context.run(variable.reset, token)
    assert variable not in context
    holding(context, variable, value)
    risen.clear()
    del value, context, token, items
    gc.collect()
    assert not risen, "a finaliser runs once"
    assert weak() is None


# The collector's own switches.


def collect_all_the_time() -> tuple[int, int, int]:
    """Set variables in finalisers and weakref callbacks, with the collector running all the time.

    Returns how often that happened, how often it was recorded, and how many other updates were
    lost.
    """
    gc.set_threshold(1, 1, 1)
    recorded = ContextVar("recorded", default=0)
    variables = [ContextVar[object](f"v{number}") for number in range(40)]
    noise = [ContextVar[object](f"noise {number}") for number in range(40)]
    happened = 0
    lost = 0

    def happen(_: object = None) -> None:
        nonlocal happened
        happened += 1
        recorded.set(recorded.get() + 1)
        noise[happened % 40].set([happened])
        holding(copy_context(), noise[0], Context())

    class Garbage:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            happen()

    def inside() -> None:
        nonlocal lost
        weak = []
        for number in range(3_000):
            Garbage()
            value = Value()
            value.refs = [value]
            weak.append(weakref.ref(value, happen))
            del value
            variable, marker = variables[number % 40], [number]
            token = variable.set(marker)
            lost += variable.get() is not marker
            if number % 2:
                variable.reset(token)
                lost += variable.get(None) is marker
        gc.collect()
        lost += recorded.get() != happened

    Context().run(inside)
    return happened, recorded.get(), lost


def test_collector_that_runs_inside_operations() -> None:
    # The native module crashes here until 3.12, where an allocation can run the collector.
    happened, outside, lost = isolated(collect_all_the_time)
    assert happened >= 6_000
    assert outside == 0
    assert lost == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_stays_as_enabled_as_it_was(enabled: bool) -> None:
    variable, other = ContextVar[object]("v"), ContextVar[int]("other")
    seen = []

    class Finalised:
        def __del__(self) -> None:
            seen.append(gc.isenabled())

    def inside() -> None:
        token = variable.set(Finalised())
        other.set(1)
        variable.reset(token)
        seen.append(gc.isenabled())
        variable.reset(variable.set(Finalised()))
        seen.append(gc.isenabled())
        with pytest.raises(RuntimeError):
            variable.reset(token)
        seen.append(gc.isenabled())

    try:
        if not enabled:
            gc.disable()
        Context().run(inside)
    finally:
        gc.enable()
    assert seen == [enabled] * 5


def test_disabling_the_collector_in_a_finaliser_holds() -> None:
    variable = ContextVar[object]("v")

    class Disables:
        def __del__(self) -> None:
            gc.disable()

    def inside() -> bool:
        variable.reset(variable.set(Disables()))
        return gc.isenabled()

    try:
        assert not Context().run(inside)
    finally:
        gc.enable()


def test_disabled_collector_still_frees_what_is_not_in_a_cycle() -> None:
    gc.disable()
    try:
        value, context = Value(), filled(100, Value)
        weak = weakref.ref(value)
        token = context.run(ContextVar[object]("v").set, value)
        items = context.items()
        del value, token, items
        assert weak() is not None
        del context
        assert weak() is None
    finally:
        gc.enable()


def test_frozen_objects() -> None:
    variable = ContextVar[Value]("v")
    value, context = Value(1), filled(100, Value)
    holding(context, variable, value)
    value.refs = [context]
    weak = weakref.ref(value)
    gc.freeze()
    try:
        copied = context.copy()
        holding(copied, variable, Value(2))
        copied_value = weakref.ref(copied[variable])
        del value, context
        gc.collect()
        assert weak() is not None, "the permanent generation is not collected"
        del copied
        assert copied_value() is None
    finally:
        gc.unfreeze()
    gc.collect()
    assert weak() is None


# Values die exactly when those of the standard library do.


class Watched:
    """Makes values, and tells which of them are alive."""

    def __init__(self) -> None:
        self.weak: list[weakref.ref[Value]] = []

    def new(self) -> Value:
        value = Value()
        self.weak.append(weakref.ref(value))
        return value

    def alive(self) -> list[bool]:
        return [weak() is not None for weak in self.weak]


def death_by_overwriting(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    variable.set(watched.new())
    yield
    variable.set(watched.new())
    yield
    variable.set(None)
    yield


def death_by_reset(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    variable.set(watched.new())
    token = variable.set(watched.new())
    yield
    variable.reset(token)
    yield
    del token
    yield
    variable.set(None)
    yield


def death_by_reset_after_another_change(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable, other = module.ContextVar("v"), module.ContextVar("other")
    token = variable.set(watched.new())
    other.set(watched.new())
    yield
    variable.reset(token)
    yield
    other.set(None)
    yield


def death_with_context(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    context = module.Context()
    holding(context, variable, watched.new())
    copied = context.copy()
    holding(copied, variable, watched.new())
    yield
    del context
    yield
    del copied
    yield


def death_with_copy(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    variable.set(watched.new())
    copied = module.copy_context()
    variable.set(None)
    yield
    del copied
    yield


def death_despite_cached_get(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    context = module.Context()
    holding(context, variable, watched.new())
    context.run(variable.get)
    yield
    del context
    yield
    variable.get(None)
    yield


def death_of_default(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v", default=watched.new())
    context = module.Context()
    holding(context, variable, watched.new())
    del variable
    yield
    del context
    yield


def death_with_old_value_of_token(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    variable.set(watched.new())
    token = variable.set(watched.new())
    variable.set(None)
    yield
    del token
    yield


def death_with_context_of_token(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    context = module.Context()
    token = context.run(variable.set, watched.new())
    del context
    yield
    del token
    yield


def death_with_iterator(module: ModuleType, watched: Watched) -> Iterator[None]:
    context = module.Context()
    holding(context, module.ContextVar("v"), watched.new())
    items = iter(context.items())
    del context
    yield
    next(items)
    yield
    next(items, None)
    yield
    del items
    yield


def death_after_failed_operations(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable, other = module.ContextVar("v"), module.ContextVar("other")
    token = module.Context().run(variable.set, watched.new())
    for function in (variable.reset, other.reset):
        with pytest.raises(ValueError, match="was created"):
            function(token)
    with pytest.raises(TypeError):
        module.Context()[watched.new()]
    with pytest.raises(TypeError):
        variable.reset(watched.new())
    yield
    del token
    yield


def death_after_raising(module: ModuleType, watched: Watched) -> Iterator[None]:
    def fail(value: Value) -> None:
        module.ContextVar("v").set(value)
        raise ValueError(value)

    context = module.Context()
    try:
        context.run(fail, watched.new())
    except ValueError as error:
        kept = error
    yield
    del kept
    yield
    del context
    yield


def death_with_thread(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    thread = threading.Thread(target=lambda: variable.set(watched.new()))
    thread.start()
    thread.join()
    # The thread's state may be cleared shortly after the thread has been joined.
    for _ in range(200):
        if not any(watched.alive()):
            break
        time.sleep(0.01)
    yield
    # From 3.14 on a thread keeps the context that it ran in.
    del thread
    yield


def death_while_comparing(module: ModuleType, watched: Watched) -> Iterator[None]:
    variable = module.ContextVar("v")
    one, other = module.Context(), module.Context()
    holding(one, variable, watched.new())
    holding(other, variable, watched.new())
    assert one != other
    yield
    del one
    yield
    del other
    yield


DEATHS = [
    death_by_overwriting,
    death_by_reset,
    death_by_reset_after_another_change,
    death_with_context,
    death_with_copy,
    death_despite_cached_get,
    death_of_default,
    death_with_old_value_of_token,
    death_with_context_of_token,
    death_with_iterator,
    death_after_failed_operations,
    death_after_raising,
    death_with_thread,
    death_while_comparing,
]


def life(module: ModuleType, scenario: Callable[..., Iterator[None]]) -> list[list[bool]]:
    """Which values are alive at each `yield`, without any help of the collector."""

    def inside() -> list[list[bool]]:
        watched = Watched()
        return [watched.alive() for _ in scenario(module, watched)]

    return contextvars.Context().run(inside)


@pytest.mark.parametrize("scenario", DEATHS, ids=lambda scenario: scenario.__name__)
def test_values_die_when_those_of_the_standard_library_do(
    scenario: Callable[..., Iterator[None]],
) -> None:
    gc.disable()
    try:
        expected = life(contextvars, scenario)
        assert life(ctxvars, scenario) == expected
    finally:
        gc.enable()
    assert not all(expected[-1])


def token_kept(module: ModuleType, watched: Watched) -> Iterator[None]:
    first, second = module.ContextVar("first"), module.ContextVar("second")
    first.set(watched.new())
    second.set(watched.new())
    token = first.set(None)
    second.set(watched.new())
    yield
    second.set(None)
    yield
    first.reset(token)
    yield
    del token
    yield
    first.set(None)
    yield


def test_live_token_keeps_the_bindings_from_before_its_set() -> None:
    # The values are: the old one of the token's variable, that of another variable at the time of
    # the `set`, and a later one. Only the second makes the difference.
    assert life(contextvars, token_kept) == [
        [True, False, True],
        [True, False, False],
        [True, False, False],
        [True, False, False],
        [False, False, False],
    ]
    assert life(ctxvars, token_kept) == [
        [True, True, True],
        [True, True, False],
        [True, True, False],
        [True, False, False],
        [False, False, False],
    ]


# Random operations, against a model of what refers to what.

VARIABLES = 24


class Machine(RuleBasedStateMachine):
    """Contexts, variables, tokens, iterators and values that refer to one another at random.

    The model is a graph of numbers. An object is held by the test if it is in `held`; a value is
    to be alive exactly if its number can be reached from those that are held.
    """

    module: ModuleType = ctxvars
    tokens_keep_bindings = True

    def __init__(self) -> None:
        super().__init__()
        # What hypothesis remembers of earlier runs would slow each collection down.
        gc.collect()
        gc.freeze()
        self.numbers = count()
        self.held: dict[int, Any] = {}
        # What each object refers to, but for contexts, whose bindings change.
        self.refers: dict[int, set[int]] = {}
        self.bindings: dict[int, dict[int, int]] = {}
        self.kinds: dict[int, str] = {}
        self.token_of: dict[int, tuple[int, int, int | None]] = {}
        self.used: set[int] = set()
        self.weak: dict[int, weakref.ref[Value]] = {}
        self.atoms = {-1: None, -2: "text", -3: 10**20}

    def add(self, kind: str, held: Any, refers: set[int]) -> int:
        number = next(self.numbers)
        self.kinds[number], self.held[number], self.refers[number] = kind, held, refers
        return number

    def add_value(self) -> tuple[int, Value]:
        number = next(self.numbers)
        value = Value(number)
        self.kinds[number], self.refers[number] = "value", set()
        self.weak[number] = weakref.ref(value)
        return number, value

    def pick(self, data: st.DataObject, kind: str) -> int | None:
        held = [number for number in self.held if self.kinds[number] == kind]
        return data.draw(st.sampled_from(held)) if held else None

    def make(self, data: st.DataObject) -> tuple[int, object]:
        """An atom, a new value, or one that is in a context."""
        choice = data.draw(st.sampled_from(["atom", "new", "old", "new"]))
        if choice == "atom":
            return data.draw(st.sampled_from(sorted(self.atoms.items(), key=lambda atom: atom[0])))
        context = self.pick(data, "context")
        if choice == "old" and context is not None and self.bindings[context]:
            variable, number = data.draw(st.sampled_from(sorted(self.bindings[context].items())))
            if variable in self.held:
                return number, self.held[context][self.held[variable]]
        return self.add_value()

    @rule(data=st.data())
    def new_variable(self, data: st.DataObject) -> None:
        number, default = self.make(data)
        self.add("variable", self.module.ContextVar("v", default=default), {number})

    @rule(data=st.data(), amount=st.sampled_from([3, 17, 60]))
    def new_context(self, data: st.DataObject, amount: int) -> None:
        context = self.add("context", self.module.Context(), set())
        self.bindings[context] = {}
        for _ in range(amount if data.draw(st.booleans()) else 0):
            variable = self.add("variable", self.module.ContextVar("v"), set())
            atom = -2
            holding(self.held[context], self.held[variable], self.atoms[atom])
            self.bindings[context][variable] = atom
            if amount > 3:
                del self.held[variable]

    @rule(data=st.data(), inside=st.booleans())
    def copy(self, data: st.DataObject, inside: bool) -> None:
        context = self.pick(data, "context")
        if context is not None:
            held = self.held[context]
            copied = held.run(self.module.copy_context) if inside else held.copy()
            self.bindings[self.add("context", copied, set())] = dict(self.bindings[context])

    @rule(data=st.data(), keep=st.booleans())
    def set_variable(self, data: st.DataObject, keep: bool) -> None:
        context, variable = self.pick(data, "context"), self.pick(data, "variable")
        if context is None or variable is None:
            return
        number, value = self.make(data)
        token = self.held[context].run(self.held[variable].set, value)
        del value
        before = self.bindings[context]
        self.bindings[context] = before | {variable: number}
        if keep:
            refers = {context, variable, before.get(variable, -1)}
            if self.tokens_keep_bindings:
                refers.update(before, before.values())
            added = self.add("token", token, refers)
            self.token_of[added] = context, variable, before.get(variable)

    @rule(data=st.data(), here=st.booleans())
    def reset(self, data: st.DataObject, here: bool) -> None:
        number = self.pick(data, "token")
        if number is None:
            return
        context, variable, old = self.token_of[number]
        token, reset = self.held[number], self.held[number].var.reset
        if number in self.used:
            with pytest.raises(RuntimeError):
                reset(token)
        elif not here or context not in self.held:
            with pytest.raises(ValueError, match="different Context"):
                reset(token)
        else:
            self.held[context].run(reset, token)
            self.used.add(number)
            self.bindings[context] = {
                key: value for key, value in self.bindings[context].items() if key != variable
            }
            if old is not None:
                self.bindings[context][variable] = old

    @rule(
        data=st.data(), kind=st.sampled_from(["keys", "values", "items"]), steps=st.integers(0, 3)
    )
    def iterate(self, data: st.DataObject, kind: str, steps: int) -> None:
        context = self.pick(data, "context")
        if context is not None:
            iterator = iter(getattr(self.held[context], kind)())
            for _ in range(steps):
                next(iterator, None)
            bindings = self.bindings[context]
            self.add("iterator", iterator, set(bindings) | set(bindings.values()))

    @rule(data=st.data())
    def refer(self, data: st.DataObject) -> None:
        """Let a value in a context refer to something, which may close a cycle."""
        context = self.pick(data, "context")
        if context is None:
            return
        found = [
            (variable, number)
            for variable, number in sorted(self.bindings[context].items())
            if number >= 0 and variable in self.held
        ]
        if found:
            variable, number = data.draw(st.sampled_from(found))
            other = data.draw(st.sampled_from(sorted(self.held)))
            self.held[context][self.held[variable]].refs.append(self.held[other])
            self.refers[number].add(other)

    @precondition(lambda self: len(self.held) > 1)
    @rule(data=st.data(), kind=st.sampled_from(["context", "variable", "token", "iterator"]))
    def drop(self, data: st.DataObject, kind: str) -> None:
        number = self.pick(data, kind)
        if number is not None:
            del self.held[number]

    def reachable(self) -> set[int]:
        seen: set[int] = set()
        waiting = list(self.held)
        while waiting:
            number = waiting.pop()
            if number >= 0 and number not in seen:
                seen.add(number)
                waiting.extend(self.refers[number])
                bindings = self.bindings.get(number, {})
                waiting.extend(bindings)
                waiting.extend(bindings.values())
        return seen

    @invariant()
    def exactly_what_is_reachable_is_alive(self) -> None:
        gc.collect()
        reachable = self.reachable()
        alive = {number for number, weak in self.weak.items() if weak() is not None}
        assert alive == reachable & self.weak.keys()

    @invariant()
    def contexts_are_as_the_model(self) -> None:
        def identity(value: object) -> int:
            if isinstance(value, Value):
                return value.number
            return next(number for number, atom in self.atoms.items() if atom is value)

        for context, bindings in self.bindings.items():
            if context in self.held:
                held = self.held[context]
                assert len(held) == len(bindings)
                found = sorted(identity(value) for value in held.values())
                assert found == sorted(bindings.values())
                for variable, number in bindings.items():
                    if variable in self.held:
                        assert identity(held[self.held[variable]]) == number

    def teardown(self) -> None:
        self.held.clear()
        gc.collect()
        assert not any(weak() for weak in self.weak.values())


class NativeMachine(Machine):
    """The same for the standard library, which shows that the model is right."""

    module = contextvars
    tokens_keep_bindings = False


SETTINGS = settings(
    max_examples=3 * settings.default.max_examples,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestRandomOperations = Machine.TestCase
TestRandomOperations.settings = SETTINGS
TestRandomOperationsOfTheStandardLibrary = NativeMachine.TestCase
TestRandomOperationsOfTheStandardLibrary.settings = settings(
    SETTINGS, max_examples=SETTINGS.max_examples // 5
)


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
        # A count of as many as the call itself makes, which depends on the version.
        fresh = object()
        assert sys.getrefcount(token) == sys.getrefcount(fresh)
        return weakref.ref(old)

    weak = contextvars.Context().run(inside)
    gc.collect()
    assert weak() is None
