"""`Rows`: the rows of a recording that did not happen, with chosen times and versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from types import CodeType
from typing import Any

from ctxvars import ContextVar
from ctxvars._recording.events import ContextRow, EventRow, Recording, read_rows
from ctxvars._recording.timeline import Timeline


def function() -> None:
    """Its code is where the events happen."""
    print()
    print()


CODE: CodeType = function.__code__
STEP = 1_000_000
"""The time between two events, in nanoseconds."""


@dataclass
class Rows:
    """Makes rows. Each event takes a millisecond, and changes the version if it changes a value."""

    events: list[EventRow] = field(default_factory=list)
    contexts: list[ContextRow] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)
    """The current version of each context."""
    threads: dict[int, int] = field(default_factory=dict)
    made: Iterator[int] = field(default_factory=lambda: count(1))
    first: int = 0
    """The number of the first event."""

    def context(
        self,
        number: int,
        parent: int | None = None,
        *,
        thread: int = 1,
        thread_name: str | None = "MainThread",
        task: str | None = None,
        stack: int = 1,
    ) -> int:
        """Add a context, copied from another one as it is now; return its number."""
        version = 0 if parent is None else self.versions[parent]
        self.versions[number] = version
        self.threads[number] = thread
        frames = ((CODE, 0),) * stack
        now = len(self.events) * STEP
        self.contexts.append((number, parent, version, now, thread, thread_name, task, frames))
        return number

    def event(
        self,
        kind: Any,
        variable: ContextVar[Any] | None,
        context: int,
        *,
        text: str | None = None,
        instruction: int = 0,
        code: CodeType | None = CODE,
    ) -> int:
        """Add an event; return its number."""
        parent = version = self.versions[context]
        if kind in {"set", "reset", "delete", "scope_enter", "scope_exit", "apply"}:
            version = self.versions[context] = next(self.made)
        number = self.first + len(self.events)
        now = len(self.events) * STEP
        self.events.append(
            (
                *(number, kind, variable, version, parent, context, self.threads[context], now),
                *(code, instruction, text),
            )
        )
        return number

    def recording(self) -> Recording:
        return read_rows(self.events, self.contexts)

    def timeline(self) -> Timeline:
        recording = self.recording()
        return Timeline(lambda: recording)


user: ContextVar[Any] = ContextVar("user")
tenant: ContextVar[Any] = ContextVar("tenant")
locale: ContextVar[Any] = ContextVar("locale")


def server() -> Rows:
    """A server: requests in two tasks, and a thread that was started without its context."""
    rows = Rows()
    main = rows.context(1)
    rows.event("set", locale, main, text="'en'")
    for number, name in ((2, "Ada"), (3, "Grace")):
        task = rows.context(number, main, task=f"Task-{number}", stack=3)
        rows.event("set", user, task, text=repr(name))
        rows.event("scope_enter", tenant, task, text="'north'")
    child = rows.context(4, 2, task="Task-4")
    rows.event("set", locale, child, text="'fr'")
    rows.event("reset", locale, child)
    worker = rows.context(5, None, thread=2, thread_name="worker")
    rows.event("missing", user, worker)
    rows.event("scope_exit", tenant, 3)
    rows.event("scope_exit", tenant, 2)
    rows.event("drop", None, 4)
    return rows


def many(number_of_events: int) -> Rows:
    """Many events: a context for sixteen of them, each copied from one of the last."""
    rows = Rows()
    rows.context(1)
    while len(rows.events) < number_of_events:
        number = len(rows.contexts) + 1
        context = rows.context(
            number,
            max(1, number // 3),
            thread=number % 4,
            thread_name=f"worker-{number % 4}",
            task=f"Task-{number}",
            stack=8,
        )
        for variable in (user, tenant, user, locale) * 2:
            rows.event("set", variable, context, text=repr(f"value {len(rows.events)}"))
            is_last = len(rows.events) % 97 == 0
            rows.event("missing" if is_last else "reset", variable, context)
    del rows.events[number_of_events:]
    return rows
