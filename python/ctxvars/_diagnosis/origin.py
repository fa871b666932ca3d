"""`origin`: where the current value of a variable was set."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from ctxvars import _core
from ctxvars._core import ContextVar
from ctxvars._diagnosis.lineage import Lineage, Position
from ctxvars._diagnosis.wording import of_place
from ctxvars._missing import MISSING
from ctxvars._public import public
from ctxvars._recording.events import ContextBranch, Event, Place


@public
@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was set.

    Attributes:
        kind: "set", "scope_enter" or "apply", as in `Event`.
        place: the line that has set it, or None if there was no Python code.
        context: the number of the context, as in `Timeline`.
        thread: the number of the thread, as `threading.get_ident` returns it.
        thread_name: the name of the thread, or None if it is not known.
        task_name: the name of the asyncio task, or None.
        nanoseconds: the time, of the clock of `time.monotonic_ns`.
        stack: the lines of Python code at the first event of the context, innermost first.
    """

    kind: str
    place: Place | None
    context: int
    thread: int
    thread_name: str | None
    task_name: str | None
    nanoseconds: int
    stack: tuple[Place, ...]

    def __str__(self) -> str:
        if self.task_name:
            return f"{of_place(self.place)}, task {self.task_name!r}"
        where = f", thread {self.thread_name!r}" if self.thread_name else ""
        return of_place(self.place) + where


def origin(variable: ContextVar[Any], /) -> Origin | None:
    """Return where the current value of a variable was set, according to the recording.

    Args:
        variable: a variable.

    Returns:
        The origin; `None` if the variable has no value in the current context, or if it was set
        before the recording, or so long ago that the event was dropped.

    Raises:
        RuntimeError: no recording is on.
        TypeError: `variable` is not a `ContextVar`.

    After a recording, ask its `Timeline`. O(recorded events).

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> def log_in(name):
    ...     user.set(name)
    >>> with ctxvars.record():
    ...     log_in("Ada")
    ...     ctxvars.origin(user).place.function
    'log_in'
    """
    check_variable("origin", variable)
    if not _core.is_recording():
        raise RuntimeError(
            "origin() needs a recording: run the code that sets the variable in "
            "`with ctxvars.record():`"
        )
    if not variable.is_set():
        return None
    lineage = Lineage.recorded(variable)
    event = lineage.origin(position())
    return origin_of(event, lineage.branches.get(event.context)) if event else None


public(origin)


def check_variable(function: str, variable: object) -> None:
    """Raise `TypeError` for an argument that is not a variable of ctxvars."""
    if isinstance(variable, ContextVar):
        return
    message = f"{function}() argument must be a ctxvars.ContextVar, got {variable!r}"
    native = sys.modules.get("_contextvars")
    if native and isinstance(variable, native.ContextVar):
        message += "; `python -m ctxvars run` replaces variables of contextvars by those of ctxvars"
    raise TypeError(message)


def current_value(variable: ContextVar[Any]) -> Any:
    """Return the value in the current context, or `MISSING`; defaults do not count."""
    # A recording would take `get(MISSING)` for a missing value. The value of a weak variable may be
    # freed between the two calls.
    try:
        return variable.get() if variable.is_set() else MISSING
    except LookupError:
        return MISSING


def position() -> Position:
    """Return the position of the current context in the recording."""
    return Position(*_core.recording_position())


def origin_of(event: Event, branch: ContextBranch | None) -> Origin:
    """Return an event as an origin."""
    return Origin(
        event.kind,
        event.place,
        event.context,
        event.thread,
        branch.thread_name if branch else None,
        branch.task_name if branch else None,
        event.nanoseconds,
        branch.stack if branch else (),
    )
