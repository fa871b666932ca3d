"""Uses of threads, executors, changes and logging that type checkers must accept.

`mypy --strict` and pyright check this file, and Python runs it, so the declarations match the
behaviour.
"""

from __future__ import annotations

import asyncio
import contextvars as native_contextvars
import logging
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, assert_type

import ctxvars
from ctxvars import (
    MISSING,
    Change,
    Changes,
    ContextThread,
    ContextThreadPoolExecutor,
    ContextVar,
    MapDiff,
    ThreadPropagation,
    changes_since,
    merge_back,
    propagate_to_threads,
    run_collecting,
    run_in_executor,
)
from ctxvars.logging import ContextFilter, record_factory, structlog_processor

user: ContextVar[str] = ContextVar("user", default="nobody")
native: native_contextvars.ContextVar[int] = native_contextvars.ContextVar("native", default=0)


def scale(number: int, *, factor: float) -> float:
    return number * factor


def threads() -> None:
    ContextThread(target=scale, args=(1,), kwargs={"factor": 2.0}, daemon=True)
    ContextThread(context=ctxvars.Context(), name="named")
    ContextThread(context=native_contextvars.Context())
    with propagate_to_threads() as propagation:
        assert_type(propagation, ThreadPropagation)
    propagation.stop()


def executors() -> None:
    with ContextThreadPoolExecutor(max_workers=1) as pool:
        assert_type(pool, ContextThreadPoolExecutor)
        assert_type(pool.submit(scale, 2, factor=1.5), Future[float])
        assert_type(pool.map(len, ["a", "bc"], timeout=10), Iterator[int])
        executor: ThreadPoolExecutor = pool
        assert_type(executor.submit(len, "a").result(), int)


async def on_a_loop() -> None:
    loop = asyncio.get_running_loop()
    assert_type(await run_in_executor(loop, None, max, 1, 2), int)
    with ContextThreadPoolExecutor() as pool:
        assert_type(run_in_executor(loop, pool, user.get), asyncio.Future[str])


def changes() -> None:
    before = ctxvars.snapshot()
    user.set("Ada")
    found = changes_since(before)
    assert_type(found, Changes)
    assert_type(found.to_diff(), MapDiff[ContextVar[Any], Any])
    for change in found:
        assert_type(change, Change)
    found.apply()
    found.apply(resolve=lambda variable, base, ours, theirs: MISSING)
    assert_type(len(changes_since(ctxvars.copy_context())), int)
    changes_since(native_contextvars.copy_context())


@merge_back
async def log_in(name: str, *, at: int = 0) -> str:
    user.set(name)
    return name


@merge_back
def log_in_on_a_thread(name: str) -> str:
    user.set(name)
    return name


@merge_back(resolve=lambda variable, base, ours, theirs: ours)
async def log_in_unless_somebody_has(name: str) -> str:
    user.set(name)
    return name


async def merging() -> None:
    assert_type(await log_in("Ada", at=1), str)
    assert_type(await log_in_on_a_thread("Ada"), str)
    assert_type(await log_in_unless_somebody_has("Ada"), str)
    as_function: Callable[[str], Coroutine[Any, Any, str]] = log_in_on_a_thread
    assert_type(await as_function("Ada"), str)
    assert_type(await merge_back(scale, resolve=None)(1, factor=2.0), float)


async def greet(name: str, *, at: int = 0) -> str:
    user.set(name)
    return f"Hello {name}!"


async def collecting() -> None:
    assert_type(await run_collecting(greet, "Ada", at=1), tuple[str, Changes])
    assert_type(await run_collecting(scale, 1, factor=2.0), tuple[float, Changes])
    assert_type(await run_collecting(log_in("Ada")), tuple[str, Changes])
    result, found = await run_collecting(asyncio.sleep(0, "slept"))
    assert_type(result, str)
    assert_type(found, Changes)


def log_records() -> None:
    logging.Handler().addFilter(ContextFilter(user, native, {"who": user}, default="-"))
    record_factory(user, native)
    structlog_processor(user, {"who": native})


if __name__ == "__main__":
    threads()
    executors()
    changes()
    log_records()
    for main in (on_a_loop, merging, collecting):
        asyncio.run(main())
