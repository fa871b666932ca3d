"""Settings of a worker of arq, which `test_arq` starts."""

from __future__ import annotations

import os
from typing import Any

import arq
from arq.connections import RedisSettings

from ctxvars.integrations.arq import install
from tests.engines.jobs import Seen, fail, private, remaining, see_and_set, tenant

# What the code that starts a worker may leave behind.
tenant.set("of the starter")
private.set("of the starter")


async def see(ctx: dict[str, Any]) -> Seen:
    return see_and_set()


async def remaining_time(ctx: dict[str, Any]) -> float | None:
    return remaining()


async def fails(ctx: dict[str, Any]) -> None:
    fail()


async def see_at_the_second_try(ctx: dict[str, Any]) -> Seen:
    found = see_and_set()
    if ctx["job_try"] == 1:
        raise arq.Retry
    return found


async def nested(ctx: dict[str, Any]) -> list[Seen]:
    """Enqueue a job before and after a variable was set."""
    first = await ctx["redis"].enqueue_job("see")
    tenant.set("of the job")
    second = await ctx["redis"].enqueue_job("see")
    return [await each.result(timeout=30, poll_delay=0.01) for each in (first, second)]


class Settings:
    functions = (see, remaining_time, fails, see_at_the_second_try, nested)
    redis_settings = RedisSettings.from_dsn(
        os.environ.get("CTXVARS_TEST_REDIS", "redis://localhost")
    )
    poll_delay = 0.01


install(Settings)
