"""`Event`, `ContextBranch` and `Place`: one recording as objects, made from the rows of `_core`."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeAlias

from ctxvars._public import public

if TYPE_CHECKING:
    from ctxvars._core import ContextVar

KINDS = frozenset(
    {
        "set",
        "reset",
        "delete",
        "scope_enter",
        "scope_exit",
        "apply",
        "run_enter",
        "run_exit",
        "copy",
        "wrap",
        "drop",
        "missing",
    }
)

SETS = frozenset({"set", "scope_enter", "apply"})
"""The kinds of events after which a variable has a new value."""
RESTORES = frozenset({"reset", "scope_exit"})
"""The kinds of events after which it has the value from before."""
CHANGES = SETS | RESTORES | {"delete"}
"""The kinds of events after which it may have another value, or none."""

ALL_MAKES = frozenset({"function", "generator", "coroutine", "async generator"})

EventRow: TypeAlias = tuple[
    int,
    str,
    "ContextVar[Any] | None",
    int,
    int,
    int | None,
    int,
    int,
    CodeType | None,
    int,
    str | None,
]
"""As `_core.recorded_events` returns it."""
Frame: TypeAlias = tuple[CodeType, int]
"""The code of a frame, and the offset of its current instruction in bytes."""
ContextRow: TypeAlias = tuple[
    int, int | None, int, int, int, str | None, str | None, tuple[Frame, ...]
]
"""As `_core.recorded_contexts` returns it."""


@public
@dataclass(frozen=True, slots=True)
class Place:
    """A line of a program.

    Attributes:
        file: the path of the source, as the code object names it.
        line: the number of the line.
        function: the qualified name of the function.
        makes: what a call of the function makes: "function" if it runs at once, or "generator",
            "coroutine" or "async generator".

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> with ctxvars.record() as timeline:
    ...     token = user.set("Ada")
    >>> timeline.events()[0].place.function
    '<module>'
    """

    file: str
    line: int
    function: str
    makes: str = "function"

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@public
@dataclass(frozen=True, slots=True)
class Event:
    """A change of a context variable, or another event of a recording.

    Attributes:
        number: counts the events of a recording, from 0.
        kind: "set", "reset" and "delete" by these methods; "scope_enter" and "scope_exit" once for
            each variable of a scope; "apply" by `Changes.apply`; "run_enter" and "run_exit" by
            `Context.run`; "copy" by `copy_context` and `Context.copy`, and "wrap" by
            `Context.wrap`; "drop" when a context is freed; "missing" when `get` found no value.
        name: the name of the variable, or None for an event of the whole context.
        variable: the variable; None if `name` is None, or if the timeline was loaded from a file.
        variable_number: counts the variables of a recording, from 0, in the order of their first
            events. It tells variables of equal names from one another.
        version: the version of the values of the context after the event. Versions are unique in
            the process, and 0 is that of a context without values.
        parent: the version before the event, equal to `version` if nothing changed.
        context: the number of the context, see `ContextBranch`; -1 if there was no memory for it.
        thread: the number of the thread, as `threading.get_ident` returns it.
        nanoseconds: the time, of the clock of `time.monotonic_ns`.
        place: the innermost line of Python code, or None if there was none.
        text: the value after the event, if values are recorded: the shortened `repr`, or the type.
        reason: for a missing value, why it is missing, if that was found out.
    """

    # Not `Literal` and `Any`: type hints are evaluated with the names of `ctxvars`.
    number: int
    kind: str
    name: str | None
    variable: ContextVar[object] | None = field(compare=False)
    variable_number: int | None
    version: int
    parent: int
    context: int
    thread: int
    nanoseconds: int
    place: Place | None
    text: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        words = [self.kind.replace("_", " ")]
        if self.name is not None:
            words.append(self.name)
        if self.text is not None:
            words.append(f"= {self.text}")
        words.append(f"in context {self.context}")
        return " ".join(words) + (f", {self.place}" if self.place else "")


@public
@dataclass(frozen=True, slots=True)
class ContextBranch:
    """A context in which at least one event happened.

    asyncio copies contexts without calling ctxvars, so a context is known from its first event on.

    Attributes:
        number: the number of the context, unique in the process.
        parent: the number of the context in which `parent_version` was made, or None if that is
            not known.
        parent_version: the version of the values before the first event: those that the context
            was copied with.
        nanoseconds: the time of the first event.
        thread: the number of the thread of the first event.
        thread_name: the name of this thread.
        task_name: the name of the asyncio task of the first event.
        stack: the lines of Python code at the first event, innermost first.
    """

    number: int
    parent: int | None
    parent_version: int
    nanoseconds: int
    thread: int
    thread_name: str | None
    task_name: str | None
    stack: tuple[Place, ...]

    @property
    def label(self) -> str:
        """The name of the task, or else of the thread."""
        return self.task_name or self.thread_name or f"thread {self.thread}"

    def __str__(self) -> str:
        where = f", {self.stack[0]}" if self.stack else ""
        return f"context {self.number}: {self.label}{where}"


@dataclass(frozen=True, slots=True)
class Recording:
    """All that is kept of a recording. Events and contexts are in the order of their numbers."""

    events: tuple[Event, ...]
    branches: tuple[ContextBranch, ...]
    lost: int = 0
    """The number of events that the ring had no room for: the oldest ones."""
    python: str = field(default_factory=lambda: ".".join(map(str, sys.version_info[:3])))
    program: tuple[str, ...] = field(default_factory=lambda: tuple(getattr(sys, "argv", ())))


def makes(code: CodeType) -> str:
    """Return what a call of a function makes. O(1)."""
    # CO_ASYNC_GENERATOR, CO_COROUTINE and CO_GENERATOR of `inspect`, which takes long to import.
    if code.co_flags & 0x200:
        return "async generator"
    if code.co_flags & 0x80:
        return "coroutine"
    return "generator" if code.co_flags & 0x20 else "function"


class Places:
    """Finds the lines of instructions; each line is one object, however many events it has."""

    def __init__(self) -> None:
        self._tables: dict[CodeType, tuple[list[int], list[int]]] = {}
        self._known: dict[Frame, Place] = {}

    def place(self, code: CodeType, instruction: int) -> Place:
        """Return the line of an instruction: O(log n) in the lines of the code, then O(1)."""
        key = (code, instruction)
        if (known := self._known.get(key)) is None:
            line = self._line(code, instruction)
            known = Place(code.co_filename, line, code.co_qualname, makes(code))
            self._known[key] = known
        return known

    def _line(self, code: CodeType, instruction: int) -> int:
        if code not in self._tables:
            starts: list[int] = []
            lines: list[int] = []
            for start, _, line in code.co_lines():
                starts.append(start)
                # Instructions that the compiler adds have no line: they belong to the one before.
                lines.append(line or (lines[-1] if lines else code.co_firstlineno))
            self._tables[code] = starts, lines
        starts, lines = self._tables[code]
        # The offset is -1 in a frame that has not begun.
        index = bisect_right(starts, instruction) - 1
        return lines[index] if index >= 0 else code.co_firstlineno


def read_rows(events: Iterable[EventRow], contexts: Iterable[ContextRow]) -> Recording:
    """Return the objects for the rows of `_core`: O(events + frames)."""
    places = Places()
    numbers: dict[int, int] = {}
    found = []
    for row in events:
        number, kind, variable, version, parent, context, thread, when, code, at, text = row
        found.append(
            Event(
                number,
                kind,
                None if variable is None else variable.name,
                variable,
                None if variable is None else numbers.setdefault(id(variable), len(numbers)),
                version,
                parent,
                -1 if context is None else context,
                thread,
                when,
                None if code is None else places.place(code, at),
                text,
            )
        )
    branches = [
        ContextBranch(*row[:-1], tuple(places.place(code, at) for code, at in row[-1]))
        for row in contexts
    ]
    return recording_of(found, branches)


def recording_of(events: list[Event], branches: list[ContextBranch], **more: Any) -> Recording:
    """Return a recording in order, in which each event has its context.

    The recorder keeps the newest contexts. A context whose row is missing gets one, made from its
    first event.
    """
    events.sort(key=lambda event: event.number)
    known = {branch.number for branch in branches}
    thread_names = {branch.thread: branch.thread_name for branch in branches}
    for event in events:
        if event.context in known:
            continue
        known.add(event.context)
        branches.append(
            ContextBranch(
                number=event.context,
                parent=None,
                parent_version=event.parent,
                nanoseconds=event.nanoseconds,
                thread=event.thread,
                thread_name=thread_names.get(event.thread),
                task_name=None,
                stack=(event.place,) if event.place else (),
            )
        )
    branches.sort(key=lambda branch: branch.number)
    more.setdefault("lost", events[0].number if events else 0)
    return Recording(tuple(events), tuple(branches), **more)
