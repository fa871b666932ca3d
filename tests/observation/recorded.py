"""The events and contexts of the recorder, with names for their parts."""

from __future__ import annotations

from typing import Any, NamedTuple

from ctxvars import ContextVar, _core
from tests.support.builds import IN_PLACE

EMPTY = 0


# Otherwise the address of a context is not known when something happens in it.
DROP = ["drop"] if IN_PLACE else []


class Event(NamedTuple):
    number: int
    kind: str
    variable: ContextVar[Any] | None
    version: int
    parent: int
    context: int | None
    thread: int
    nanoseconds: int
    code: Any
    instruction: int
    text: str | None


class Row(NamedTuple):
    context: int
    parent: int | None
    parent_version: int
    nanoseconds: int
    thread: int
    thread_name: str | None
    task_name: str | None
    stack: tuple[tuple[Any, int], ...]


def events() -> list[Event]:
    return [Event(*row) for row in _core.recorded_events()]


def rows() -> list[Row]:
    return [Row(*row) for row in _core.recorded_contexts()]


def kinds() -> list[str]:
    return [event.kind for event in events()]
