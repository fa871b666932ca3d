"""Event loops that tests run on, by the name of the module that has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

import pytest

LOOPS = ["asyncio", "uvloop", "trio"]


class Loop(NamedTuple):
    """Functions of a loop: run a coroutine, give way to other tasks, and wait for several tasks."""

    run: Callable[[Coroutine[Any, Any, None]], None]
    turn: Callable[[], Coroutine[Any, Any, object]]
    together: Callable[..., Coroutine[Any, Any, None]]
    """Call coroutine functions, each in a task that has a copy of the context."""


def loop_named(name: str) -> Loop:
    """Return the loop, or skip the test if it is not installed."""
    module: Any = pytest.importorskip(name, reason=f"{name} is not installed for this Python")
    if name == "trio":

        async def await_it(coro: Coroutine[Any, Any, None]) -> None:
            await coro

        async def start_all(*functions: Callable[[], Awaitable[object]]) -> None:
            async with module.open_nursery() as nursery:
                for function in functions:
                    nursery.start_soon(function)

        return Loop(lambda coro: module.run(await_it, coro), module.lowlevel.checkpoint, start_all)

    def run(coro: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
            runner.run(coro)

    async def create_all(*functions: Callable[[], Coroutine[Any, Any, object]]) -> None:
        async with asyncio.TaskGroup() as group:
            for function in functions:
                group.create_task(function())

    return Loop(run, lambda: asyncio.sleep(0), create_all)
