"""Generators and coroutines for the tests of isolation, and how to isolate a body or not."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from ctxvars import _core
from tests.support.isolation.user_variables import Seen, both, set_both


def bare(body: Any) -> Any:
    return body


def isolate(body: Any, context: Any = None) -> Any:
    return _core.isolate(body, context, False)


def echo(name: str, ended: list[Seen] | None = None) -> Generator[Any, Any, str]:
    """Set the variables, yield each value sent, and record the current values at the end."""
    set_both(name)
    try:
        sent = yield both()
        while sent != "return":
            if isinstance(sent, str):
                set_both(sent)
            sent = yield (sent, both())
        return f"{name} returned"
    finally:
        if ended is not None:
            ended.append(both())


async def doubled(number: int) -> int:
    set_both(f"number {number}")
    await asyncio.sleep(0)
    assert both() == (f"number {number}", f"number {number}")
    return 2 * number
