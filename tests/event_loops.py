"""The event loops on which coroutine functions are tried, and what they have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest


def on_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(_coroutine(main))


def on_uvloop(main: Callable[[], Awaitable[Any]]) -> Any:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_coroutine(main))


def on_trio(main: Callable[[], Awaitable[Any]]) -> Any:
    return pytest.importorskip("trio", reason="trio is not installed").run(main)


def on_anyio(main: Callable[[], Awaitable[Any]]) -> Any:
    return pytest.importorskip("anyio", reason="anyio is not installed").run(main)


LOOPS = (on_asyncio, on_uvloop, on_trio, on_anyio)


async def _coroutine(main: Callable[[], Awaitable[Any]]) -> Any:
    return await main()


async def in_tasks(*functions: Callable[[], Awaitable[Any]]) -> None:
    """Call each in a task of its own, which has a copy of the context, until all are done."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        async with trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(function)
    else:
        async with asyncio.TaskGroup() as group:
            for function in functions:
                group.create_task(_coroutine(function))


async def take_a_turn() -> None:
    """Let other tasks run."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)
