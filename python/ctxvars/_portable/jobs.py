"""Jobs that run in the context of their worker, between two hooks of the engine.

An engine that has no hook around a job has one before and one behind it, in the context that the
worker runs all jobs in. The second one takes back all changes of variables since the first one, by
the bindings and not by tokens: a job may have left any number of scopes open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ctxvars import _core
from ctxvars._core import ContextVar
from ctxvars._portable.headers.baggage import HEADER
from ctxvars._portable.headers.extract import Received, another


class RunningJob(NamedTuple):
    """A job that runs in the current context."""

    message: object
    """The object by which the engine calls both hooks."""
    received: Received
    before: _core.Map[ContextVar[Any], Any]
    """The variables before the job."""


_running: ContextVar[RunningJob | None] = ContextVar("ctxvars.running_job", default=None)


def running_job() -> RunningJob | None:
    """Return the job that runs in the current context."""
    return _running.get()


def start_job(message: object, received: Received) -> None:
    """Set the values that were received, until `finish_job` is called. O(declared variables)."""
    before = _core.copy_context().bindings
    received.__enter__()
    _running.set(RunningJob(message, received, before))


def finish_job(message: object) -> None:
    """Take back the changes of all variables since `start_job`. O(changes).

    It does nothing if `start_job` was not called for this message.
    """
    job = _running.get()
    if job is not None and job.message is message:
        # The base is the current state, so there are no conflicts.
        _core.apply_changes(_core.copy_context().bindings, job.before, None)


def write_again(
    inject: Callable[[dict[str, Any]], object], headers: dict[str, Any], foreign: Iterable[str]
) -> None:
    """Replace a header: write the current values and the members of other programs."""
    headers.pop(HEADER, None)
    others = ",".join(foreign)
    if others:
        headers[HEADER] = others
    inject(headers)


def write_received(
    inject: Callable[[dict[str, Any]], object], headers: dict[str, Any], received: Received
) -> None:
    """Replace a header: write the values that a job has received, to send the job once more.

    A retry has the arguments of the first try, and so it has the values of the first try, not those
    that the job has set meanwhile. They are encoded again: a signature expires, and the remaining
    time of a deadline gets shorter.
    """
    with another(received):
        write_again(inject, headers, received.foreign)
