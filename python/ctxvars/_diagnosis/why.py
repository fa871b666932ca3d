"""`why`: what a variable is here, where it was set, and which boundary lost it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from ctxvars import _core
from ctxvars._core import ContextVar
from ctxvars._diagnosis.boundaries import Frame, current_boundary, current_task, live_stack
from ctxvars._diagnosis.explanation import Explanation
from ctxvars._diagnosis.lineage import Lineage, Position
from ctxvars._diagnosis.origin import check_variable, current_value, origin_of, position
from ctxvars._diagnosis.remedies import GUIDE, Boundary
from ctxvars._diagnosis.verdict import (
    STARTS_EMPTY,
    TAKES_CALLS,
    boundary_of_branch,
    is_older,
    judge,
)
from ctxvars._diagnosis.wording import REDACTED, is_secret_name, short_repr
from ctxvars._missing import MISSING
from ctxvars._public import public
from ctxvars._recording.events import ContextBranch, Place

MOST_NOTES = 20
"""The exceptions of a recording that get a note."""

_RECORD = "run the code in `with ctxvars.record():`, and ask again: then where it was set is known"


def why(variable: ContextVar[Any], /) -> Explanation:
    """Explain why a variable has its value here, or why it has none.

    Under a recording, the explanation names the line that has set the value. If the value is
    missing, it names the boundary that has lost it, such as a thread that was started without its
    context, and what to use instead. Without a recording, it names the innermost boundary under
    which the code runs, which is the likely cause.

    Args:
        variable: a variable.

    Returns:
        An explanation, whose text is for people.

    Raises:
        TypeError: `variable` is not a `ContextVar`.

    O(recorded events + depth of the stack).

    >>> import asyncio, ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> async def work():
    ...     return ctxvars.why(user)
    >>> async def main():
    ...     task = asyncio.create_task(work())
    ...     user.set("Ada")
    ...     return await task
    >>> with ctxvars.record():
    ...     explanation = asyncio.run(main())
    >>> explanation.boundary, explanation.origin.place.function
    ('task', 'main')
    """
    check_variable("why", variable)
    return explain_here(variable, sys._getframe(1))


public(why)


def explain_here(variable: ContextVar[Any], frame: FrameType) -> Explanation:
    """Explain a variable in the current context, at a frame."""
    place = Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
    value = current_value(variable)
    if value is not MISSING:
        text = REDACTED if is_secret_name(variable.name) else short_repr(value)
        return _of_value(variable, text, place)
    if not _core.is_recording():
        return _unrecorded(variable.name, place, current_boundary(frame))
    at = position()
    lineage = Lineage.recorded(variable)
    branch = lineage.branches.get(at.context) if at.context is not None else None
    inherited = (at.version if branch is None else branch.parent_version) != 0
    task = current_task()
    return explain_missing(
        variable.name,
        lineage,
        at,
        place,
        current_boundary(frame, inherited=inherited),
        thread_here=threading.get_ident(),
        task_here=task.get_name() if task else None,
        stack_here=lambda: live_stack(frame),
    )


class MissingNotes:
    """Adds explanations to the exceptions of `ContextVar.get` in a recording, which calls it.

    A program that catches many of them is not slowed down: only the first 20 get a note.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MOST_NOTES

    def __call__(self, variable: ContextVar[Any], error: LookupError, /) -> None:
        self.add(variable, error, sys._getframe(1))

    def add(self, variable: ContextVar[Any], error: LookupError, frame: FrameType) -> None:
        """Add a note, unless there were too many. The frame is that of the program."""
        if self._left > 0:
            self._left -= 1
            error.add_note(str(explain_here(variable, frame)))


def _of_value(variable: ContextVar[Any], value: str, place: Place) -> Explanation:
    if not _core.is_recording():
        return Explanation(
            variable.name, True, value, place, reason=f"To see where it was set, {_RECORD}."
        )
    lineage = Lineage.recorded(variable)
    event = lineage.origin(position())
    if event is None:
        return Explanation(variable.name, True, value, place, reason=_not_recorded(lineage))
    found = origin_of(event, lineage.branches.get(event.context))
    return Explanation(variable.name, True, value, place, found)


def _unrecorded(name: str, place: Place, boundary: Boundary | None) -> Explanation:
    if boundary is None:
        return Explanation(
            name,
            False,
            place=place,
            reason="This code does not run under a boundary that ctxvars knows.",
            remedy=_RECORD,
            guide=GUIDE,
        )
    return Explanation(
        name,
        False,
        place=place,
        boundary=boundary.name,
        title=boundary.title,
        reason=boundary.inside,
        remedy=f"{boundary.inside_remedy}. If that is not the cause, {_RECORD}",
        guide=boundary.guide,
    )


def explain_missing(
    name: str,
    lineage: Lineage,
    at: Position,
    place: Place | None,
    here: Boundary | None,
    *,
    thread_here: int,
    task_here: str | None,
    stack_here: Callable[[], Iterable[Frame]],
    before: int | None = None,
) -> Explanation:
    """Explain a missing value from a recording.

    Args:
        name: the name of the variable.
        lineage: its events.
        at: the context in which it is missing.
        place: the line at which it is missing.
        here: the boundary of this line.
        thread_here: the number of the current thread.
        task_here: the name of the current task.
        stack_here: a function that returns the stack.
        before: the number of the event at which it is missing; later events do not count.
    """
    takes_calls = here is not None and here.name in TAKES_CALLS
    found = lineage.lost_set(at, before=before, takes_calls=takes_calls)
    if found is None:
        return _never_set(name, lineage, place, here)
    event, relation = found
    branch: ContextBranch | None = lineage.branches.get(event.context)
    task_there = branch.task_name if branch else None
    verdict = judge(
        here,
        boundary_of_branch(branch),
        relation,
        is_same_task=event.thread == thread_here and task_there == task_here,
        is_task_older=is_older(task_here, task_there),
        stack_here=stack_here(),
    )
    removal = lineage.removal_of(event.number) if relation == "removed" else None
    return Explanation(
        name,
        False,
        place=place,
        origin=origin_of(event, branch),
        removed=lineage.event(removal.number).place if removal else None,
        boundary=verdict.boundary.name,
        title=verdict.boundary.title,
        reason=verdict.reason,
        remedy=verdict.remedy,
        guide=verdict.boundary.guide,
    )


def _never_set(
    name: str, lineage: Lineage, place: Place | None, here: Boundary | None
) -> Explanation:
    if here is not None and here.name in STARTS_EMPTY:
        # Another process has another recording, and a value from before the recording is lost, too.
        return Explanation(
            name,
            False,
            place=place,
            boundary=here.name,
            title=here.title,
            reason=f"{here.inside} {_not_recorded(lineage)}",
            remedy=here.inside_remedy,
            guide=here.guide,
        )
    return Explanation(name, False, place=place, reason=_not_recorded(lineage), guide=GUIDE)


def _not_recorded(lineage: Lineage) -> str:
    """Return why the recording does not show who has set a value."""
    if lineage.lost:
        return (
            f"The recording does not show where it was set: the first {lineage.lost} events were"
            " dropped. Record with a larger capacity."
        )
    return "It was not set while the recording was on: before it, or not at all."
