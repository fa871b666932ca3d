"""Actors of Dramatiq, for a worker and for the tests, which send messages to them."""

from __future__ import annotations

import os
import time
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, TimeLimit
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

import ctxvars
import ctxvars.integrations.dramatiq
from tests.portable.jobs import cart, private, tenant

Seen = list[Any]
signer = ctxvars.Signer({"1": b"a secret for the tests"})
broker = RedisBroker(url=os.environ["TEST_REDIS"])
broker.add_middleware(Results(backend=RedisBackend(client=broker.client)))
broker.add_middleware(AsyncIO())
# Before the limits are looked at the first time, a second passes by default.
broker.middleware[:] = [
    TimeLimit(interval=50) if isinstance(each, TimeLimit) else each for each in broker.middleware
]
dramatiq.set_broker(broker)
ctxvars.integrations.dramatiq.install(broker)


def seen() -> Seen:
    return [tenant.get(None), cart.get(None), private.get(None), ctxvars.remaining_time()]


def set_all(value: str) -> None:
    tenant.set(value)
    cart.set([value])
    private.set(value)


@dramatiq.actor(store_results=True)
def see() -> Seen:
    return seen()


@dramatiq.actor(store_results=True)
def see_and_set(value: str) -> Seen:
    found = seen()
    set_all(value)
    return found


@dramatiq.actor(store_results=True)
async def see_and_set_async(value: str) -> Seen:
    found = seen()
    set_all(value)
    return found


@dramatiq.actor(store_results=True, max_retries=0)
def fail(value: str) -> None:
    set_all(value)
    raise KeyError(value)


@dramatiq.actor(store_results=True)
def send_other(value: str | None) -> Any:
    """Change the tenant, and send a message."""
    if value is None:
        tenant.delete()
    else:
        tenant.set(value)
    return see.send().asdict()


@dramatiq.actor(store_results=True)
def append(found: Seen, value: str | None = None) -> Seen:
    """Append the tenant to those that earlier actors have seen, and set it for the next actor."""
    found = [*found, tenant.get(None)]
    if value is not None:
        tenant.set(value)
    return found


tries: list[Seen] = []


@dramatiq.actor(store_results=True, max_retries=2, min_backoff=1, max_backoff=1)
def see_at_each_try() -> list[Seen]:
    tries.append(seen())
    set_all("set by the first try")
    if len(tries) < 3:
        raise dramatiq.Retry(delay=10)
    found = tries[:]
    tries.clear()
    return found


@dramatiq.actor(max_retries=0, time_limit=50)
def exceed_limit(value: str) -> None:
    set_all(value)
    while True:
        time.sleep(0.001)


@dramatiq.actor(store_results=True)
def reinstall(accept: Any = "internal", signed: bool = False) -> None:
    """Change the options of the worker."""
    options = {"signer": signer} if signed else {}
    ctxvars.integrations.dramatiq.install(broker, accept=accept, **options)
