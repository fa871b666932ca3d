"""Values are freed exactly when those of the standard library are."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

import ctxvars
from tests.support.builds import IN_PLACE
from tests.support.gc.contexts import holding
from tests.support.gc.values import Value

pytestmark = pytest.mark.usefixtures("only_new_objects")


class Watched:
    """Makes values, and reports which of them are alive."""

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
    """Which values are alive at each `yield`, without the garbage collector."""

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
    # The values are the old one of the token's variable, the one of another variable at the time
    # of the `set`, and a later one.
    expected = [
        [True, False, True],
        [True, False, False],
        [True, False, False],
        [True, False, False],
        [False, False, False],
    ]
    assert life(contextvars, token_kept) == expected
    if not IN_PLACE:
        # The token has the native token of the root variable, which keeps the old bindings.
        for alive in expected[:3]:
            alive[1] = True
    assert life(ctxvars, token_kept) == expected
