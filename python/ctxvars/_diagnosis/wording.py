"""Texts of places, threads and values, for explanations."""

from __future__ import annotations

import re
import reprlib
from functools import lru_cache
from typing import Any

from ctxvars._recording.events import ContextBranch, Event, Place

MOST_CHARACTERS = 120
REDACTED = "<redacted>"

# Parts of names, and whole words of names: "key" is a word of "api_key" and "apiKey".
_SECRET = re.compile(
    r"passw(or)?d|passphrase|secret|token|cookie|authori[sz]ation|credential|session|private"
)
_SECRET_WORDS = frozenset(
    {"key", "keys", "apikey", "auth", "pwd", "pin", "otp", "jwt", "sid", "csrf", "signature"}
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


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


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Whether the name of a variable says that its value is a secret."""
    return _SECRET.search(name.lower()) is not None or any(
        word.lower() in _SECRET_WORDS for word in _WORD.findall(name)
    )


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


def wrapped(label: str, text: str) -> str:
    """Return a line of an explanation, with its label."""
    return f"  {label + ':':<9} {text}"
