"""A broker of taskiq with Redis, which the worker of `test_taskiq` imports."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import taskiq
from redis.asyncio import Redis

from ctxvars.integrations.taskiq import install
from tests.engines.jobs import Seen, private, remaining, see_and_set, seen, tenant

redis: Redis = Redis.from_url(os.environ.get("CTXVARS_TEST_REDIS", "redis://localhost"))
PREFIX = "ctxvars.taskiq"


class Results(taskiq.AsyncResultBackend[Any]):
    """Results in Redis."""

    async def set_result(self, task_id: str, result: taskiq.TaskiqResult[Any]) -> None:
        await redis.set(f"{PREFIX}.{task_id}", result.model_dump_json(exclude={"error"}))

    async def get_result(self, task_id: str, with_logs: bool = False) -> taskiq.TaskiqResult[Any]:
        found = await redis.get(f"{PREFIX}.{task_id}")
        return taskiq.TaskiqResult[Any].model_validate_json(found)

    async def is_result_ready(self, task_id: str) -> bool:
        return bool(await redis.exists(f"{PREFIX}.{task_id}"))


class Broker(taskiq.AsyncBroker):
    """A queue in Redis.

    Releases of taskiq-redis for this taskiq need a newer package redis than arq does.
    """

    async def kick(self, message: taskiq.BrokerMessage) -> None:
        await redis.lpush(PREFIX, message.message)

    async def listen(self) -> AsyncGenerator[bytes, None]:
        while True:
            _, message = await redis.brpop(PREFIX)
            yield message


broker = Broker().with_result_backend(Results())
broker.add_middlewares(taskiq.SimpleRetryMiddleware(default_retry_count=2))
install(broker)
# What the code that starts a worker may leave behind.
tenant.set("of the starter")
private.set("of the starter")


@broker.task
async def see() -> Seen:
    return see_and_set()


@broker.task
def see_in_thread() -> Seen:
    return see_and_set()


@broker.task
async def remaining_time() -> float | None:
    return remaining()


@broker.task
async def nested() -> list[Seen]:
    """Send a message before and after a variable was set."""
    first = await see_in_thread.kiq()
    tenant.set("of the task")
    second = await see_in_thread.kiq()
    return [(await each.wait_result(timeout=30)).return_value for each in (first, second)]


@broker.task(retry_on_error=True)
async def see_after_failure(context: Annotated[taskiq.Context, taskiq.TaskiqDepends()]) -> Seen:
    found = seen()
    if "_retries" not in context.message.labels:
        see_and_set()
        raise OSError("try again")
    return found
