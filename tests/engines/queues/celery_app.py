"""An app of Celery, for workers and for the tests, which send its tasks."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import task_postrun

import ctxvars
import ctxvars.integrations.celery
from tests.portable.jobs import cart, private, tenant

Seen = list[Any]
signer = ctxvars.Signer({"1": b"a secret for the tests"})
app = Celery("tests")
ctxvars.integrations.celery.install(app, signer=signer if "TEST_SIGNED" in os.environ else None)

if "TEST_CELERY" in os.environ:
    # In a worker. A fork inherits these values, and the pool "solo" runs tasks in this context.
    app.conf.update(json.loads(os.environ["TEST_CELERY"]))
    tenant.set("of the worker")
    ctxvars.deadline(1000).__enter__()

results: list[str | None] = []


@task_postrun.connect
def _remember(**_: Any) -> None:
    results.append(tenant.get(None))


def seen() -> Seen:
    return [tenant.get(None), cart.get(None), private.get(None), ctxvars.remaining_time()]


@app.task
def see() -> Seen:
    return seen()


@app.task
def see_and_set(value: str) -> Seen:
    """Return what the task sees, and set all variables for later tasks, which must not see it."""
    found = seen()
    tenant.set(value)
    cart.set([value])
    private.set(value)
    return found


@app.task
def seen_by_receivers() -> list[str | None]:
    """Return the tenants that a receiver of `task_postrun` has seen."""
    found = results[:]
    results.clear()
    return found


@app.task
def fail(value: str) -> None:
    tenant.set(value)
    private.set(value)
    raise KeyError(value)


@app.task
def send_other(value: str | None) -> Any:
    """Change the tenant, and send a task."""
    if value is None:
        tenant.delete()
    else:
        tenant.set(value)
    return see.delay().id


@app.task
def append(found: Seen, value: str | None = None) -> Seen:
    """Append the tenant to those that earlier steps have seen, and set it for the next step."""
    found = [*found, tenant.get(None)]
    if value is not None:
        tenant.set(value)
    return found


@app.task
def collect(found: list[Seen]) -> Seen:
    return [[each[0] for each in found], tenant.get(None)]


@app.task(bind=True, max_retries=2)
def see_at_each_try(self: Any, found: Seen, countdown: float = 0) -> Seen:
    found = [*found, [*seen(), (self.request.headers or {}).get("baggage")]]
    tenant.set("set by the first try")
    cart.set(["set by the first try"])
    private.set("set by the first try")
    if self.request.retries < 2:
        raise self.retry(args=[found], countdown=countdown)
    return found


@app.task
def replace_receiver_and_send(header: str) -> Any:
    """Send a task while another receiver replaces the header, as OpenTelemetry does."""
    from celery.signals import before_task_publish

    def receive(headers: dict[str, Any], **_: Any) -> None:
        headers["baggage"] = header

    before_task_publish.connect(receive)
    try:
        return see_header.delay().id
    finally:
        before_task_publish.disconnect(receive)


@app.task(bind=True)
def see_header(self: Any) -> Any:
    return [tenant.get(None), (self.request.headers or {}).get("baggage")]


@app.task
def sleep(value: str, seconds: float) -> None:
    tenant.set(value)
    private.set(value)
    time.sleep(seconds)


@app.task(soft_time_limit=0.2)
def exceed_soft_limit(value: str) -> str:
    tenant.set(value)
    private.set(value)
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        private.set("of the handler")
        raise
    return "not reached"


@app.task
def kill_the_process() -> None:
    tenant.set("of a killed process")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def apply_nested() -> Seen:
    """Run a task in the current task."""
    tenant.set("outer")
    private.set("outer")
    inner = see_and_set.apply(args=["inner"]).get(disable_sync_subtasks=False)
    return [inner[:2], seen()[:3]]


@app.task
def set_undeclared_name() -> None:
    """Let the worker accept a name that is not declared."""
    ctxvars.integrations.celery.install(app, accept=["tests.not.declared"])


@app.task
def set_default_options() -> None:
    ctxvars.integrations.celery.install(app)
