"""A variable of either kind, for the tests of isolation.

Outside of the tests, both have their default. The fixture `users_are_unset_afterwards` checks this
after a test.
"""

from __future__ import annotations

import contextvars as native

import ctxvars

user: ctxvars.ContextVar[str] = ctxvars.ContextVar("user", default="nobody")
native_user: native.ContextVar[str] = native.ContextVar("native_user", default="nobody")

Seen = tuple[str, str]
UNSET = ("nobody", "nobody")


def set_both(name: str) -> None:
    user.set(name)
    native_user.set(name)


def both() -> Seen:
    return user.get(), native_user.get()
