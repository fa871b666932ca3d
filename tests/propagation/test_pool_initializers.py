"""Calls see the values of the initializer of a pool, unless their submitter has set others."""

from __future__ import annotations

import asyncio
import contextvars as native
import decimal
import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextThreadPoolExecutor, ContextVar, propagate_to_threads, run_in_executor
from tests.support.gc.values import Value

OURS: ContextVar[str] = ContextVar("ours", default="default")
OTHER: ContextVar[str] = ContextVar("other", default="default")
MADE: ContextVar[list[str]] = ContextVar("made", default_factory=list)
NATIVE = native.ContextVar("native", default="default")

POOLS: dict[str, Any] = {
    "patched": (propagate_to_threads, ThreadPoolExecutor),
    "ours": (nullcontext, ContextThreadPoolExecutor),
    "both": (propagate_to_threads, ContextThreadPoolExecutor),
}
of_each_pool = pytest.mark.parametrize(
    ("propagation", "pool_class"), POOLS.values(), ids=POOLS.keys()
)


def initialize() -> None:
    OURS.set("initial")
    NATIVE.set("initial")
    MADE.get().append("of the worker")


def seen(*_: object) -> list[Any]:
    found = [OURS.get(), OTHER.get(), NATIVE.get(), [*MADE.get()]]
    # Other calls do not see the values of a call.
    for variable in (OURS, OTHER, NATIVE):
        variable.set("of another call")
    return found


@pytest.fixture(params=POOLS.values(), ids=POOLS.keys())
def pool(request: pytest.FixtureRequest) -> Iterator[ThreadPoolExecutor]:
    """A pool with an initializer, in an empty context."""
    propagation, pool_class = request.param
    with propagation(), pool_class(1, initializer=initialize) as pool:
        yield pool


def in_context(body: Callable[[], Any], **values: str) -> Any:
    def run() -> Any:
        for name, value in values.items():
            {"ours": OURS, "other": OTHER, "native": NATIVE}[name].set(value)
        return body()

    return ctxvars.Context().run(run)


CASES: list[tuple[dict[str, str], list[Any]]] = [
    ({}, ["initial", "default", "initial", []]),
    ({"ours": "mine"}, ["mine", "default", "initial", []]),
    ({"other": "mine"}, ["initial", "mine", "initial", []]),
    ({"native": "mine"}, ["initial", "default", "mine", []]),
    ({"ours": "1", "other": "2", "native": "3"}, ["1", "2", "3", []]),
]


def test_calls_see_what_the_initializer_set_below_their_own_context(
    pool: ThreadPoolExecutor,
) -> None:
    for _ in range(2):
        for values, expected in CASES:
            assert in_context(lambda: pool.submit(seen).result(), **values) == expected
            assert in_context(lambda: [*pool.map(seen, [1, 2])], **values) == [expected] * 2


def test_the_pool_of_a_loop_is_initialised_as_well(pool: ThreadPoolExecutor) -> None:
    async def main() -> list[Any]:
        return await run_in_executor(asyncio.get_running_loop(), pool, seen)

    for values, expected in CASES:
        assert in_context(lambda: asyncio.run(main()), **values) == expected


@of_each_pool
def test_the_precision_of_decimal_is_set_by_an_initializer(
    propagation: Callable[[], AbstractContextManager[Any]], pool_class: type[ThreadPoolExecutor]
) -> None:
    def set_precision() -> None:
        decimal.getcontext().prec = 5

    def precision() -> int:
        return decimal.getcontext().prec

    with propagation(), pool_class(1, initializer=set_precision) as pool:
        assert native.Context().run(lambda: pool.submit(precision).result()) == 5

        def own() -> int:
            decimal.getcontext().prec = 7
            return pool.submit(precision).result()

        assert native.Context().run(own) == 7


def test_later_calls_do_not_see_values_that_a_done_callback_has_set(
    pool: ThreadPoolExecutor,
) -> None:
    """The callback runs on the worker, outside of the call."""
    future = pool.submit(seen)
    future.add_done_callback(lambda _: OTHER.set("of a callback"))
    future.result()
    for _ in range(3):
        assert in_context(lambda: pool.submit(seen).result())[1] == "default"


def test_a_pool_that_was_begun_before_the_patch_is_covered() -> None:
    with ThreadPoolExecutor(1, initializer=initialize) as pool:
        pool.submit(int).result()
        with propagate_to_threads():
            found = in_context(lambda: pool.submit(seen).result(), other="mine")
    if not getattr(sys.flags, "thread_inherit_context", False):
        assert found == ["initial", "mine", "initial", []]


def test_other_threads_than_workers_add_no_values() -> None:
    loop: Any = asyncio.new_event_loop()
    loop.run_in_executor = lambda executor, fn, *args: fn(*args)
    try:
        for values in ({"ours": "first"}, {}):
            found = in_context(lambda: run_in_executor(loop, None, OURS.get), **values)
            assert found == values.get("ours", "default")
    finally:
        loop.close()


@of_each_pool
def test_neither_a_result_nor_an_exception_keeps_the_context(
    propagation: Callable[[], AbstractContextManager[Any]], pool_class: type[ThreadPoolExecutor]
) -> None:
    value = Value()
    gone = weakref.ref(value)

    def fail() -> None:
        raise ZeroDivisionError

    def submit(pool: ThreadPoolExecutor, value: Value) -> list[Any]:
        OTHER.set(value)  # type: ignore[arg-type]
        return [pool.submit(int), pool.submit(fail)]

    with propagation(), pool_class(1, initializer=initialize) as pool:
        result, failed = ctxvars.Context().run(submit, pool, value)
        assert result.result() == 0
        assert isinstance(failed.exception(), ZeroDivisionError)
        del value
        pool.submit(int).result()
        gc.collect()
        assert gone() is None


def test_an_initializer_that_fails_breaks_the_pool() -> None:
    with propagate_to_threads(), ThreadPoolExecutor(1, initializer=lambda: 1 / 0) as pool:
        future = pool.submit(int)
        with pytest.raises(Exception, match="initializer"):
            future.result()
