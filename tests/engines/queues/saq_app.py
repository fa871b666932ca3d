"""Settings of a worker of SAQ, which `test_saq` starts."""

from __future__ import annotations

import os
from typing import Any

from saq import Queue

from ctxvars.integrations.saq import install
from tests.engines.jobs import Seen, fail, private, remaining, see_and_set, tenant

# What the code that starts a worker may leave behind.
tenant.set("of the starter")
private.set("of the starter")


async def see(context: dict[str, Any]) -> Seen:
    return see_and_set()


def see_in_thread(context: dict[str, Any]) -> Seen:
    return see_and_set()


async def remaining_time(context: dict[str, Any]) -> float | None:
    return remaining()


async def fails(context: dict[str, Any]) -> None:
    fail()


async def see_at_the_second_try(context: dict[str, Any]) -> Seen:
    found = see_and_set()
    if context["job"].attempts == 1:
        raise OSError("try again")
    return found


async def nested(context: dict[str, Any]) -> list[Seen]:
    """Enqueue a job before and after a variable was set."""
    queue = context["job"].queue
    first = await queue.apply("see", poll_interval=0.01)
    tenant.set("of the job")
    return [first, await queue.apply("see", poll_interval=0.01)]


settings = {
    "queue": Queue.from_url(os.environ.get("CTXVARS_TEST_REDIS", "redis://localhost")),
    "functions": [see, see_in_thread, remaining_time, fails, see_at_the_second_try, nested],
}
install(settings)
