"""Awaitables that run without an event loop."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


class Paused:
    """An awaitable that suspends once."""

    def __await__(self) -> Generator[str, object, object]:
        return (yield "paused")


def drive(awaitable: Any) -> Any:
    """Run an awaitable to its end, and return its result."""
    while True:
        try:
            assert awaitable.send(None) == "paused"
        except StopIteration as stop:
            return stop.value
