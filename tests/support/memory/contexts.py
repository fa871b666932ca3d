"""Operations on contexts and maps that are repeated to show that memory does not grow.

Each operation leaves all objects unchanged. Those on context variables also run on the standard
library's module.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import ctxvars
from ctxvars import Map
from ctxvars._core import apply_changes
from tests.support.gc.values import SetsWhenFreed, Value
from tests.support.map import operations as map_operations
from tests.support.map.operations import Failing, Key, raises
from tests.support.memory.growth import Workload

# The shared objects, by name. The references to each are counted.
Shared = dict[str, object]
MILLION = 1_000_000
BATCH = 1000


def fail() -> None:
    raise ZeroDivisionError


def fails(expected: type[BaseException], call: Callable[..., object], *arguments: Any) -> Any:
    """Return an operation that is expected to raise."""
    return partial(raises, expected, call, *arguments)


def entered(scope: Any) -> None:
    with scope:
        pass


def exhaust(iterable: Any) -> None:
    deque(iterable, 0)


def half_iterated(*iterables: Any) -> None:
    """Make iterators, and drop them before their end."""
    for iterable in iterables:
        iterator = iter(iterable)
        next(iterator)


def weak_reference(one: Any) -> weakref.ref[Any]:
    """Return a weak reference, with a callback, to an object that may be dropped on return."""
    weakref.ref(one)
    return weakref.ref(one, lambda _: None)


def batch_of_tasks(variables: list[Any], value: object, create_task: Any) -> None:
    """Run tasks that set variables, let other tasks run, and reset the first variable."""

    async def task() -> None:
        token, *_ = [variable.set(value) for variable in variables]
        await asyncio.sleep(0)
        variables[0].reset(token)

    async def main() -> None:
        await asyncio.gather(*[create_task(task()) for _ in range(BATCH)])

    asyncio.run(main())


def batch_of_threads(variables: list[Any], value: object, context: Any) -> None:
    """Run threads that set variables in their own context, and in a copy of another one."""

    def work() -> None:
        for variable in variables:
            variable.set(value)
        context.copy().run(variables[0].set, value)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def context_workloads(module: ModuleType) -> tuple[list[Workload], Shared]:
    """Workloads on context variables of a module that has the standard library's names."""
    variable, other, unset = (module.ContextVar(name) for name in ("one", "other", "unset"))
    with_default = module.ContextVar("with default", default=Value())
    filler = [module.ContextVar(f"filler {number}") for number in range(100)]
    value = Value()
    empty, small, large = module.Context(), module.Context(), module.Context()
    for context, size in ((small, 8), (large, 100)):
        for each in filler[:size]:
            context.run(each.set, value)
        context.run(variable.set, value)

    def set_and_reset() -> None:
        variable.reset(variable.set(value))

    def with_token() -> None:
        with variable.set(value):
            pass

    def with_token_fails() -> None:
        with variable.set(value):
            raise ZeroDivisionError

    def tokens_in_turn() -> None:
        tokens = [each.set(value) for each in filler]
        for each, token in zip(filler, tokens, strict=True):
            each.reset(token)

    def set_in_a_copy() -> None:
        module.copy_context().run(variable.set, value)

    def variable_of_one_context() -> None:
        made = module.ContextVar("made", default=value)
        module.Context().run(made.set, value)

    def reset_twice() -> None:
        token = variable.set(value)
        variable.reset(token)
        variable.reset(token)

    def set_while_freed() -> None:
        small.copy().run(lambda: variable.set(SetsWhenFreed(variable)))

    def weak_references() -> None:
        died = weak_reference(small.copy())
        assert died() is None
        weak_reference(small)

    def cycle() -> None:
        made = module.ContextVar("made")
        context = small.copy()
        context.run(made.set, [context, made, context.run(other.set, made)])

    def cycles() -> None:
        for _ in range(BATCH):
            cycle()
        gc.collect()

    foreign_token = empty.run(unset.set, value)
    empty.run(unset.reset, foreign_token)
    token_elsewhere = small.copy().run(variable.set, value)
    workloads = [
        Workload("set, reset", set_and_reset, 10 * MILLION),
        Workload("set, reset among 100 variables", partial(large.run, set_and_reset), 2 * MILLION),
        Workload("set 100 variables, reset", tokens_in_turn, 2 * MILLION, per_call=100),
        Workload("set in a copy, token dropped", set_in_a_copy),
        Workload("get", lambda: small.run(variable.get), 2 * MILLION),
        Workload("get defaults", lambda: (unset.get(value), with_default.get()), 2 * MILLION),
        Workload("get fails", fails(LookupError, unset.get)),
        Workload(
            "asyncio tasks",
            partial(batch_of_tasks, [variable, other], value, asyncio.Task),
            per_call=BATCH,
        ),
        Workload("threads", partial(batch_of_threads, [variable, other], value, large), 10_000, 10),
        Workload("copy_context", module.copy_context, 2 * MILLION),
        Workload("copy, run", lambda: large.copy().run(int), 2 * MILLION),
        Workload("Context()", module.Context, 2 * MILLION),
        Workload("variable of one context", variable_of_one_context),
        Workload("context read", lambda: (large[variable], unset in large, large.get(unset))),
        Workload("context iterated", lambda: exhaust(large.items()), 10 * MILLION, per_call=100),
        Workload(
            "context half iterated", lambda: half_iterated(large, large.items(), large.values())
        ),
        Workload("contexts compared", lambda: (large == large.copy(), large == small), 200_000),
        Workload("repr", lambda: (repr(with_default), repr(small)), 200_000),
        Workload("weak references", weak_references),
        Workload("cycles, collected", cycles, 200_000, per_call=BATCH),
        Workload("set while freed", set_while_freed),
        Workload("reset twice", fails(RuntimeError, reset_twice)),
        Workload("reset another variable", fails(ValueError, other.reset, token_elsewhere)),
        Workload("reset in another context", fails(ValueError, variable.reset, token_elsewhere)),
        Workload("reset of no token", fails(TypeError, variable.reset, value)),
        Workload("set without value", fails(TypeError, variable.set)),
        Workload("run fails", fails(ZeroDivisionError, small.run, fail)),
        Workload("run again inside", fails(RuntimeError, small.run, small.run, fail)),
        Workload("run nothing", fails(TypeError, small.run)),
        Workload("context without the key", fails(KeyError, small.__getitem__, unset)),
        Workload("context, key of another type", fails(TypeError, small.__getitem__, "one")),
        Workload("variable without name", fails(TypeError, module.ContextVar, 1)),
    ]
    if hasattr(module.Token, "__enter__"):
        workloads += [
            Workload("with token", with_token, 10 * MILLION),
            Workload("with token, fails", fails(ZeroDivisionError, with_token_fails)),
        ]
    (root,) = large.native if module is ctxvars else (None,)

    def set_fails() -> None:
        """Set while other code has set the root, and again after that has been undone."""

        def inside() -> None:
            bindings = contextvars.copy_context()[root]
            root.set(value)
            raises(RuntimeError, variable.set, value)
            root.set(bindings)
            variable.set(Value())

        small.copy().run(inside)

    def copies_at_once() -> None:
        copies = [small.copy() for _ in range(BATCH)]
        for copy in copies:
            copy.run(variable.set, value)

    def set_beside_a_copy() -> None:
        kept = contextvars.copy_context()
        variable.reset(variable.set(value))
        kept.run(variable.set, value)

    def set_beside_the_cell() -> None:
        kept = contextvars.copy_context()[root]
        variable.reset(variable.set(value))
        assert kept[variable] is value

    def new_values_in_place() -> None:
        for _ in range(10):
            variable.set(Value())
        variable.set(value)

    def grow_and_shrink() -> None:
        for each in filler:
            each.set(value)
        for each in filler[8:]:
            each.delete()

    if module is ctxvars:
        workloads += [
            Workload("copies at once", copies_at_once, 200_000, per_call=BATCH),
            Workload("set beside a copy", partial(large.run, set_beside_a_copy)),
            Workload("set beside the cell", partial(small.run, set_beside_the_cell)),
            Workload("set in place", partial(small.run, new_values_in_place), per_call=10),
            Workload(
                "variables added and deleted",
                partial(small.copy().run, grow_and_shrink),
                per_call=len(filler),
            ),
            Workload("set in a native copy", lambda: small.native.copy().run(variable.set, value)),
            Workload("set fails", set_fails),
            Workload(
                "asyncio tasks in given contexts",
                partial(
                    batch_of_tasks,
                    [variable, other],
                    value,
                    lambda coro: ctxvars.create_task(coro, context=small.copy()),
                ),
                200_000,
                BATCH,
            ),
            Workload("wrap, native", lambda: ctxvars.Context.wrap(small.copy().native)),
            Workload("wrap fails", fails(TypeError, ctxvars.Context.wrap, value)),
            Workload("bindings", lambda: (small.bindings, small.diff(large)), 200_000),
            *scope_workloads(variable, other, value, small),
        ]
    shared: Shared = {
        "None": None,
        "the value": value,
        "a variable": variable,
        "a variable that is not set": unset,
        "a small context": small,
        "a large context": large,
        "the empty context": empty,
        "a token": token_elsewhere,
        "Token.MISSING": module.Token.MISSING,
        "ContextVar": module.ContextVar,
        "Context": module.Context,
        "Token": module.Token,
        "contextvars.Context": contextvars.Context,
        "contextvars.Token": contextvars.Token,
        "the root": root,
    }
    return workloads, shared


def variable_with_factory(factory: Any) -> ctxvars.ContextVar[Any]:
    return ctxvars.ContextVar("with factory", default_factory=factory)


def scope_workloads(
    variable: Any, other: Any, value: object, context: ctxvars.Context
) -> list[Workload]:
    """Workloads on scopes, deletion and default factories, which only our variables have."""
    unset = ctxvars.ContextVar[object]("not set")
    values = {variable: value, other: value}
    reused = ctxvars.scope(values)
    made = variable_with_factory(Value)
    failing = variable_with_factory(fail)
    base = context.bindings
    changed = context.copy().run(lambda: (other.set(value), ctxvars.copy_context())[1]).bindings

    def scope() -> None:
        with ctxvars.scope(values):
            pass

    def scope_with_changes() -> None:
        with reused:
            variable.set(None)
            unset.set(value)
        unset.delete()

    def scope_left_elsewhere() -> None:
        with_values = ctxvars.scope([*values.items()])
        with_values.__enter__()
        ctxvars.copy_context().run(with_values.__exit__, None, None, None)
        with_values.__enter__()
        with_values.__exit__(None, None, None)

    def scope_fails() -> None:
        with variable.scope(value):
            raise ZeroDivisionError

    def strict_scope() -> None:
        with variable.scope(value, strict=True) as strict:
            context.copy().run(strict.__exit__, None, None, None)

    def scopes_in_cycles() -> None:
        for _ in range(BATCH):
            holder: list[object] = []
            holder.append(variable.scope(holder))
            entered = ctxvars.Context()
            scope_of_itself = variable.scope(entered)
            entered.run(other.set, scope_of_itself)
            entered.run(scope_of_itself.__enter__)
        gc.collect()

    def default_of_a_variable() -> None:
        variable_with_factory(Value).get()

    return [
        Workload("scope", scope),
        Workload("scope, changed inside", partial(context.run, scope_with_changes)),
        Workload("scope left elsewhere", partial(context.copy().run, scope_left_elsewhere)),
        Workload("scope fails", fails(ZeroDivisionError, scope_fails)),
        Workload("strict scope left elsewhere", fails(ValueError, strict_scope)),
        Workload("scopes in cycles, collected", scopes_in_cycles, 100_000, per_call=BATCH),
        Workload("scope without values", partial(entered, ctxvars.scope({}))),
        Workload("scope that takes away", partial(entered, variable.scope(ctxvars.MISSING))),
        Workload("scope of another type", fails(TypeError, ctxvars.scope, [(variable, 1), (2, 3)])),
        Workload("scope of one", lambda: (variable.scope(value), ctxvars.scope(values))),
        Workload("set, delete", lambda: (variable.set(value), variable.delete())),
        Workload("delete fails", fails(LookupError, unset.delete)),
        Workload("is_set", lambda: (unset.is_set(), variable.is_set())),
        Workload("default made", lambda: context.copy().run(made.get)),
        Workload("default made before", partial(context.run, made.get)),
        Workload("factory of one context", lambda: ctxvars.Context().run(default_of_a_variable)),
        Workload("factory fails", fails(ZeroDivisionError, failing.get)),
        Workload("factory is none", fails(TypeError, variable_with_factory, value)),
        Workload("apply_changes", lambda: context.copy().run(apply_changes, base, changed, None)),
    ]


def map_workloads() -> tuple[list[Workload], Shared]:
    """Workloads on maps, small ones and large ones."""
    value, key = Value(), "key 5"
    pairs = {f"key {number}": value for number in range(8)}
    many = {f"key {number}": value for number in range(100)}
    empty, small, large = Map[str, Any](), Map(pairs), Map.fromkeys(range(1000), value)
    changed = large.set(5, None).delete(6).set(-1, value)
    merged = large.set(7, None)
    difference = large.diff(changed)

    def edited() -> None:
        mutation = large.mutate()
        for number in range(5):
            mutation[number] = None
            del mutation[number + 500]
        mutation.finish()

    def edited_block() -> None:
        with small.mutate() as mutation:
            mutation[key] = None
            mutation.update(pairs)

    def edit_given_up() -> None:
        with large.mutate() as mutation:
            mutation[5] = None
            raise ZeroDivisionError

    def weak_references() -> None:
        died = weak_reference(Map(pairs))
        assert died() is None
        weak_reference(large)

    def cycles() -> None:
        for _ in range(BATCH):
            members: list[Any] = []
            members += [large.set(5, members), Map(only=members), iter(small.set(key, members))]
        gc.collect()

    def pairs_that_fail() -> Iterator[Any]:
        yield "new", value
        yield Failing(), value

    def update_fails() -> None:
        raises(ZeroDivisionError, small.update, pairs_that_fail())

    workloads = [
        Workload("Map()", Map, 2 * MILLION),
        Workload("Map of 1", lambda: Map(a=value)),
        Workload("Map of 8", lambda: Map(pairs)),
        Workload("Map of 100", lambda: Map(many)),
        Workload("Map of 8, tracked", lambda: Map.fromkeys(pairs, [])),
        Workload("set", lambda: (small.set(key, None), large.set(5, None), large.set(-1, value))),
        Workload("delete", lambda: (small.delete(key), large.delete(5), large.discard(-1))),
        Workload("update", lambda: (small.update(pairs), small | many, large.update({5: None}))),
        Workload("mutate, 10 edits, finish", edited),
        Workload("mutate in a block", edited_block),
        Workload("block fails", fails(ZeroDivisionError, edit_given_up)),
        Workload("diff, apply", lambda: large.apply(large.diff(changed))),
        Workload("apply", lambda: large.apply(difference)),
        Workload("merge", lambda: large.merge(changed, merged)),
        Workload("compare, hash", lambda: (large == changed, hash(small), large == merged)),
        Workload("iterate", lambda: exhaust(large.items()), 20 * MILLION, per_call=1000),
        Workload(
            "half iterated",
            lambda: half_iterated(large, large.values(), large.items(), large.mutate()),
        ),
        Workload("views", lambda: (key in small.keys(), small.keys() & pairs, small.items())),  # noqa: SIM118
        Workload("repr", lambda: (repr(small), repr(small.keys())), 200_000),
        Workload("weak references", weak_references),
        Workload("cycles, collected", cycles, 200_000, per_call=BATCH),
        Workload("no such key", fails(KeyError, large.__getitem__, -1)),
        Workload("no such key to delete", fails(KeyError, large.delete, -1)),
        Workload("unhashable key", fails(TypeError, small.set, [], value)),
        Workload("hash fails in set", fails(ZeroDivisionError, small.set, Failing(), value)),
        Workload(
            "hash fails in update",
            update_fails,
        ),
        Workload("hash fails in Map", lambda: raises(ZeroDivisionError, Map, pairs_that_fail())),
        Workload("items that are not pairs", fails(TypeError, small.update, [1])),
    ]
    workloads += hostile_workloads(value)
    shared: Shared = {
        "None": None,
        "the value": value,
        "the key": key,
        "the empty map": empty,
        "a small map": small,
        "a large map": large,
        "a derived map": changed,
        "MISSING": ctxvars.MISSING,
        "Map": Map,
        "MapMutation": ctxvars.MapMutation,
        "a class of views": ctxvars.MapKeys,
        "a class of iterators": type(iter(small)),
    }
    return workloads, shared


def hostile_workloads(value: object) -> list[Workload]:
    """Operations with keys whose hashes collide, and that fail, in Python."""
    keys = [Key(number, "4 bits") for number in range(40)]
    map_ = Map.fromkeys(keys, value)
    loops = map_operations.loops(map_, keys[1], Key("missing", "4 bits"), value, "4 bits")
    return [Workload(f"colliding: {name}", loop, 10_000) for name, loop in loops.items()]
