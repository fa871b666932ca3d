"""A variable of either kind, for the tests of what runs in a context of its own.

Their value outside is that nobody set one: the fixture `nobody` makes sure that it still is when a
test is over.
"""

from __future__ import annotations

import contextvars as native

import ctxvars

user: ctxvars.ContextVar[str] = ctxvars.ContextVar("user", default="nobody")
native_user: native.ContextVar[str] = native.ContextVar("native_user", default="nobody")

Seen = tuple[str, str]
NOBODY = ("nobody", "nobody")


def set_both(name: str) -> None:
    user.set(name)
    native_user.set(name)


def both() -> Seen:
    return user.get(), native_user.get()
