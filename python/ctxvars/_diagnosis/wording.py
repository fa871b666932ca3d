"""Texts of places, threads and values, for explanations."""

from __future__ import annotations

import reprlib
import time
from typing import Any

from ctxvars._recording.events import ContextBranch, Event, Place

MOST_CHARACTERS = 120


class _Short(reprlib.Repr):
    """A `repr` of bounded length, which does not raise."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = MOST_CHARACTERS

    def repr(self, x: Any) -> str:
        try:
            text = super().repr(x)
        except Exception as error:  # also RecursionError
            return f"<{type(x).__name__} whose repr raises {type(error).__name__}>"
        if len(text) > MOST_CHARACTERS:
            return text[: MOST_CHARACTERS - 3] + "..."
        return text


short_repr = _Short().repr
"""Return the `repr` of a value, at most 120 characters; it does not raise an `Exception`."""


def of_place(place: Place | None) -> str:
    """Return a file and a line that editors and terminals open, and the function."""
    if place is None:
        return "code without a Python frame"
    return f"{place.file}:{place.line} in {place.function}"


def of_branch(branch: ContextBranch | None) -> str:
    """Return the task or the thread of a context, with a comma before it; or nothing."""
    if branch is None:
        return ""
    if branch.task_name:
        return f", task {branch.task_name!r}"
    return f", thread {branch.thread_name!r}" if branch.thread_name else ""


def of_event(event: Event, branch: ContextBranch | None) -> str:
    """Return where an event happened, with its task or thread."""
    return of_place(event.place) + of_branch(branch)


def of_age(nanoseconds: int) -> str:
    """Return how long ago an event happened, in a few words."""
    seconds = (time.monotonic_ns() - nanoseconds) / 1e9
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms ago"
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"


def wrapped(label: str, text: str) -> str:
    """Return a line of an explanation, with its label."""
    return f"  {label + ':':<9} {text}"
