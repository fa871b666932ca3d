"""Portable variables, and functions that workers of clusters call."""

from __future__ import annotations

from typing import Any

import ctxvars

tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "tests.engines.tenant")
cart = ctxvars.portable(
    ctxvars.ContextVar("cart"), "tests.engines.cart", codec="json", to="process"
)
private: ctxvars.ContextVar[str] = ctxvars.ContextVar("private")
"""Not portable."""

failed: set[str] = set()
"""What has failed once in this process."""

Seen = tuple[str | None, Any, str | None]


def seen(*_: object) -> Seen:
    return tenant.get(None), cart.get(None), private.get(None)


def see_and_set(*_: object) -> Seen:
    """Return what the job sees, and set all variables for later jobs, which must not see it."""
    found = seen()
    tenant.set("left behind")
    cart.set(["left behind"])
    private.set("left behind")
    return found


async def see_and_set_async(*_: object) -> Seen:
    return see_and_set()


def tenants_of(found: Seen) -> tuple[str | None, str | None]:
    """Return the tenant that an earlier job has seen, and that of this job."""
    return found[0], tenant.get(None)


def length_of_tenant(numbers: Any) -> Any:
    """Add the length of the tenant to an array or a data frame."""
    return numbers + len(tenant.get(""))


def fail() -> None:
    see_and_set()
    raise KeyError("a job")


def remaining() -> float | None:
    return ctxvars.remaining_time()


class Unpicklable:
    def __reduce__(self) -> str:
        raise TypeError("cannot be pickled")
