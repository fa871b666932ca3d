"""Deeply nested objects are freed with a small stack, and finalisers may run meanwhile."""

from __future__ import annotations

import contextvars
import gc
import importlib
import threading
import weakref
from collections.abc import Callable
from itertools import count
from types import ModuleType
from typing import Any

import pytest

import ctxvars
from ctxvars import Context, ContextVar
from tests.support.concurrency import with_small_stack
from tests.support.gc.contexts import DEEP, filled, holding, nodes
from tests.support.gc.values import Value
from tests.support.subprocesses import in_subprocess

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("only_new_objects")]

MODULES = [contextvars, ctxvars]


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


def deep_old_values() -> None:
    """Each token is the old value of the next one, and has no other reference."""
    variable = ContextVar[object]("v")

    def inside() -> None:
        token: object = None
        for _ in range(DEEP):
            variable.set(token)
            token = variable.set(None)

    Context().run(inside)


def deep_deleted_values() -> None:
    variable = ContextVar[object]("v")

    def inside() -> None:
        token: object = None
        for _ in range(DEEP):
            variable.set(token)
            token = variable.delete()

    Context().run(inside)


def deep_old_values_that_are_defaults() -> None:
    """Each token has two references in the next one, which drops both."""

    def inside() -> None:
        token: object = None
        for _ in range(DEEP):
            variable = ContextVar[object]("v", default=token)
            variable.set(token)
            token = variable.set(None)
            variable.delete()

    Context().run(inside)


def deep_tokens_in_containers() -> None:
    variable = ContextVar[object]("v")

    def inside() -> None:
        token: Any = None
        for number in range(DEEP):
            variable.set(([token], {"token": (token,)}, token and token.__exit__)[number % 3])
            token = variable.set(None)

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


def deep_pairs() -> None:
    """Each iterator keeps the pair that it has yielded last."""
    variable = ContextVar[object]("v")
    iterator: Any = None
    for _ in range(DEEP):
        context = Context()
        holding(context, variable, iterator)
        iterator = iter(context.items())
        next(iterator)


def deep_defaults() -> None:
    variable: object = None
    for _ in range(DEEP):
        variable = ContextVar("v", default=variable)


class Settings(ctxvars.Group):
    value: Any


class Closed(ctxvars.Group):
    __slots__ = ()
    value: Any


def deep_groups() -> None:
    settings: Any = Settings()
    for number in range(DEEP):
        settings = (Settings, Closed)[number % 2](value=settings)


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
    deep_old_values,
    deep_deleted_values,
    deep_old_values_that_are_defaults,
    deep_tokens_in_containers,
    deep_tokens_of_many_contexts,
    deep_iterators,
    deep_pairs,
    deep_defaults,
    deep_groups,
    deep_ring,
    deep_finalisers,
]


def drop(name: str) -> int:
    """Build something deep and drop it; return how many nodes are left."""
    with_small_stack(globals()[name])
    gc.collect()
    return len(nodes())


@pytest.mark.parametrize("build", DEEP_DROPS, ids=lambda build: build.__name__)
def test_deeply_nested_objects_are_freed_without_recursion(build: Callable[[], None]) -> None:
    assert in_subprocess(drop, build.__name__) == 0


def dies_while_another_thread_finalises(name: str) -> bool:
    """Whether a value is freed at once while another thread frees deeply nested contexts."""
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
    assert in_subprocess(dies_while_another_thread_finalises, module.__name__)


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
