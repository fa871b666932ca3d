"""Jobs of RQ, for the workers and for the tests, which enqueue them."""

from __future__ import annotations

import json
import time
from typing import Any

from rq import Queue, Retry, get_current_job

import ctxvars
from ctxvars.integrations.rq import ContextJob, install
from tests.portable.jobs import cart, private, tenant

Seen = list[Any]
signer = ctxvars.Signer({"1": b"a secret for the tests"})


class SignedJob(ContextJob, signer=signer):
    pass


class UndeclaredJob(ContextJob, accept=["tests.not.declared"]):
    pass


def seen() -> Seen:
    return [tenant.get(None), cart.get(None), private.get(None), ctxvars.remaining_time()]


def set_all(value: str) -> None:
    tenant.set(value)
    cart.set([value])
    private.set(value)


def set_values_of_worker() -> None:
    """Set values that a work horse inherits."""
    set_all("of the worker")
    private.delete()
    ctxvars.deadline(1000).__enter__()


def see_and_set(value: str) -> Seen:
    found = seen()
    set_all(value)
    return found


async def see_and_set_async(value: str) -> Seen:
    return see_and_set(value)


def fail(value: str) -> None:
    set_all(value)
    raise KeyError(value)


def enqueue_other(value: str | None) -> str:
    """Change the tenant, and enqueue a job."""
    if value is None:
        tenant.delete()
    else:
        tenant.set(value)
    job = get_current_job()
    assert job is not None
    queue = Queue(job.origin, connection=job.connection)
    install(queue)
    id: str = queue.enqueue(seen).id
    return id


def _try() -> list[Seen]:
    """Remember what all tries have seen, in Redis."""
    job = get_current_job()
    assert job is not None
    found = [*job.meta.get("tries", []), seen()]
    # Without the header.
    job.meta = {"tries": found}
    job.save_meta()
    set_all("set by the first try")
    return found


def raise_at_each_try() -> list[Seen]:
    found = _try()
    if len(found) < 3:
        raise KeyError("again")
    return found


def retry_at_each_try() -> Any:
    found = _try()
    return found if len(found) == 3 else Retry(max=2)


def exceed_timeout(value: str) -> None:
    set_all(value)
    time.sleep(60)


def remember(job: Any, connection: Any, *_: Any) -> None:
    """The callbacks."""
    connection.set(f"tests:{job.id}", json.dumps(seen()[:3]))


def remember_result(job: Any, connection: Any, result: Any, *_: Any) -> None:
    connection.rpush(f"tests:{job.id}:result", json.dumps(result))
