"""Portable variables, and functions that other processes call."""

from __future__ import annotations

import multiprocessing
from typing import Any

import ctxvars

tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "tests.tenant")
cart = ctxvars.portable(ctxvars.ContextVar("cart"), "tests.cart", codec="json", to="process")
private: ctxvars.ContextVar[str] = ctxvars.ContextVar("private")
"""Not portable."""

START_METHODS = multiprocessing.get_all_start_methods()


def seen() -> tuple[str | None, Any, str | None]:
    return tenant.get(None), cart.get(None), private.get(None)


def see_and_set(value: str) -> tuple[str | None, Any, str | None]:
    """Return what the job sees, and set all variables for later jobs, which must not see it."""
    found = seen()
    tenant.set(value)
    cart.set([value])
    private.set(value)
    return found


def set_private(value: str) -> None:
    private.set(value)


def seen_with(item: object) -> tuple[object, str | None]:
    found = item, tenant.get(None)
    tenant.set("left behind")
    return found


def add_to_cart(item: str) -> int:
    cart.set([*cart.get([]), item])
    private.set("does not come back")
    return len(cart.get())


def take_tenant_away() -> None:
    tenant.delete()


def fail() -> None:
    tenant.set("lost")
    raise KeyError("a job")


def remaining() -> float | None:
    return ctxvars.remaining_time()


async def seen_async() -> str | None:
    return tenant.get(None)


def send_seen(connection: Any) -> None:
    connection.send(seen())


class Unpicklable:
    def __reduce__(self) -> str:
        raise TypeError("cannot be pickled")
