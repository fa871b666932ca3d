"""Event loops that tests run on, by the name of the module that has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

import pytest

LOOPS = ["asyncio", "uvloop", "trio"]


class Loop(NamedTuple):
    """How to run a coroutine to its end, and to let others run."""

    run: Callable[[Coroutine[Any, Any, None]], None]
    turn: Callable[[], Awaitable[object]]


def loop_named(name: str) -> Loop:
    """Skip the test if there is no such loop."""
    module: Any = pytest.importorskip(name, reason=f"{name} is not installed for this Python")
    if name == "trio":

        async def await_it(coro: Coroutine[Any, Any, None]) -> None:
            await coro

        return Loop(lambda coro: module.run(await_it, coro), module.lowlevel.checkpoint)

    def run(coro: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
            runner.run(coro)

    return Loop(run, lambda: asyncio.sleep(0))
