"""A native context that only its facade has is hidden from the collector, and part of cycles."""

from __future__ import annotations

import contextvars
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Context, ContextVar, copy_context
from tests.support.gc.values import Value
from tests.support.in_place import only_in_place

VARIABLE = ContextVar[Any]("v")
OTHER = ContextVar[Any]("other")
# The length of the pool, whose contexts are used for copies.
LENGTH = 16


def never_used(context: Context) -> object:
    return context


def read(context: Context) -> object:
    assert VARIABLE in context
    assert len(context) == 1
    return context


def copied(context: Context) -> object:
    return context.copy()


def shown(context: Context) -> object:
    return context.native


def run(context: Context) -> object:
    context.run(OTHER.set, 1)
    return context


def run_for_a_token(context: Context) -> object:
    return context.run(OTHER.set, 1)


def wrapped(context: Context) -> object:
    return Context.wrap(context.native)


@pytest.mark.parametrize(
    "use",
    [never_used, read, copied, shown, run, run_for_a_token, wrapped],
    ids=lambda it: it.__name__,
)
def test_a_copy_is_part_of_cycles_however_it_is_used(use: Callable[[Context], object]) -> None:
    def cycle() -> tuple[weakref.ref[Value], object]:
        def copy_inside() -> Context:
            VARIABLE.set(value)
            return copy_context()

        value = Value()
        # The source dies, so the copy alone has the value.
        value.refs = [use(Context().run(copy_inside))]
        return weakref.ref(value), value.refs[0]

    kept = [cycle() for _ in range(2 * LENGTH)]
    gc.collect()
    assert all(reference() is not None for reference, _ in kept)
    references = [reference for reference, _ in kept]
    del kept
    gc.collect()
    assert not any(reference() for reference in references)


@only_in_place
def test_the_native_context_of_a_copy_is_tracked_once_other_code_has_it() -> None:
    contexts = [copy_context() for _ in range(4 * LENGTH)]
    del contexts  # fills the pool
    for _ in range(3):
        context = copy_context()
        assert not any(isinstance(it, contextvars.Context) for it in gc.get_referents(context))
        native = context.native
        assert gc.is_tracked(native)
        assert native in gc.get_referents(context)
        del context
        assert gc.is_tracked(native)
        del native
