"""RQ: jobs run with the portable variables of the code that enqueued them.

The values travel as the key `baggage` of the job's `meta`. RQ has no hooks around a job, but takes
a class of jobs. `ContextJob` writes the values when the job is created. It runs the function and
the callbacks in a copy of the context of the worker, which is dropped afterwards. So even variables
that are not declared do not pass from one job to the next in a `SimpleWorker`, which does not fork.
"""

from __future__ import annotations

from _contextvars import Context as NativeContext
from _contextvars import copy_context
from functools import partial, update_wrapper
from inspect import iscoroutinefunction
from typing import Any, ClassVar, TypeAlias

from rq.job import Job
from rq.queue import Queue
from rq.worker import BaseWorker

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER
from ctxvars._portable.headers.extract import Accept, Received
from ctxvars._portable.headers.signing import Signer
from ctxvars._portable.jobs import write_received
from ctxvars.integrations._shared.options import Options, checked_options

__all__ = ["ContextJob", "install", "uninstall"]

_Target: TypeAlias = "Queue | BaseWorker | type[Queue] | type[BaseWorker]"


class ContextJob(Job):
    """A job that runs with the portable variables of the code that created it.

    It is a `job_class` for queues and workers. The commands of RQ take its path:
    `rq worker --job-class ctxvars.integrations.rq.ContextJob`. A subclass has other options:

        class SignedJob(ContextJob, signer=signer): ...

    The options are those of `install`. A `SpawnWorker` needs a class that can be imported.

    Raises:
        TypeError: an option of a subclass is of another type.
        ValueError: `to` or `accept` is not a level.

    A retry has the values of the first try. O(declared variables + length of the values).
    """

    _ctxvars_options: ClassVar[Options] = checked_options("ContextJob")
    # Set when the job runs.
    _ctxvars_context: NativeContext | None = None
    _ctxvars_received: Received | None = None

    def __init_subclass__(
        cls,
        *,
        to: Level | None = None,
        accept: Accept | None = None,
        signer: Signer | None = None,
        **others: Any,
    ) -> None:
        super().__init_subclass__(**others)
        inherited = cls._ctxvars_options
        cls._ctxvars_options = checked_options(
            cls.__name__,
            inherited.to if to is None else to,
            inherited.accept if accept is None else accept,
            inherited.signer if signer is None else signer,
        )

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Any:
        """Create a job with the current values.

        Raises:
            Exception: a value cannot be sent, as for `ctxvars.inject`.
        """
        job = super().create(*args, **kwargs)
        headers = job._ctxvars_headers()
        cls._ctxvars_options.inject(headers)
        # The mapping may belong to a decorator, which creates many jobs.
        job.meta = {**job.meta, **headers}
        return job

    def perform(self) -> Any:
        """Run the function with the values of the job."""
        context = copy_context()
        # A work horse imports the module of the function now. The module may declare variables.
        context.run(getattr, self, "func")
        self._ctxvars_enter(context)
        return context.run(super().perform)

    def retry(self, queue: Any, pipeline: Any) -> Any:
        """Enqueue the job once more, with the values that it has received."""
        self._ctxvars_write_again()
        return super().retry(queue, pipeline)

    def _handle_retry_result(self, *args: Any, **kwargs: Any) -> Any:
        # For a job that returns `Retry`.
        self._ctxvars_write_again()
        return super()._handle_retry_result(*args, **kwargs)

    @property
    def success_callback(self) -> Any:
        """The callback, which runs in the context of the job."""
        return self._ctxvars_bound(super().success_callback)

    @property
    def failure_callback(self) -> Any:
        """The callback, which runs in the context of the job."""
        return self._ctxvars_bound(super().failure_callback)

    @property
    def stopped_callback(self) -> Any:
        """The callback, which runs with the values of the job, in the process of the worker."""
        return self._ctxvars_bound(super().stopped_callback)

    def _ctxvars_headers(self) -> dict[str, Any]:
        # The creator of a job can make up its meta.
        is_written = isinstance(self.meta, dict) and HEADER in self.meta
        return {HEADER: self.meta[HEADER]} if is_written else {}

    def _ctxvars_enter(self, context: NativeContext) -> None:
        """Set the values of the job in a context."""
        received = self._ctxvars_options.extract(self._ctxvars_headers())
        context.run(received.__enter__)
        self._ctxvars_received, self._ctxvars_context = received, context

    def _ctxvars_bound(self, callback: Any) -> Any:
        # RQ refuses coroutine functions.
        if callback is None or iscoroutinefunction(callback):
            return callback
        if self._ctxvars_context is None:
            self._ctxvars_enter(copy_context())
        assert self._ctxvars_context is not None
        return update_wrapper(partial(self._ctxvars_context.run, callback), callback)

    def _ctxvars_write_again(self) -> None:
        received = self._ctxvars_received
        if received is not None:
            headers: dict[str, Any] = {}
            write_received(self._ctxvars_options.inject, headers, received)
            if headers:
                self.meta.update(headers)


def install(
    target: _Target,
    *,
    to: Level = "internal",
    accept: Accept = "internal",
    signer: Signer | None = None,
) -> None:
    """Let the jobs of a queue or a worker be a subclass of `ContextJob`.

    Args:
        target: a queue, which then sends the values, or a worker, which then sets them. For the
            class `rq.Queue`, all queues without another `job_class` send the values.
        to, signer: as for `ctxvars.inject`.
        accept: as for `ctxvars.extract`.

    The new class is a subclass of the `job_class` of the target. A second call replaces the
    options.

    Raises:
        TypeError: `target` is neither a queue nor a worker, or an option is of another type.
        ValueError: `to` or `accept` is not a level.

    O(queues of the worker).
    """
    _check_target("install", target)
    options = checked_options("install", to, accept, signer)
    for each in _with_queues(target):
        if _is_installed(each):
            _restore(each)
        before = vars(each).get("job_class")
        each.job_class = _class_with(options, each.job_class)
        each._ctxvars_job_class = before


def uninstall(target: _Target) -> None:
    """Undo `install`.

    Raises:
        ValueError: `install` was not called for the queue or worker.
    """
    _check_target("uninstall", target)
    if not _is_installed(target):
        raise ValueError(f"ctxvars.integrations.rq is not installed for {target!r}")
    for each in _with_queues(target):
        if _is_installed(each):
            _restore(each)


def _check_target(function: str, target: object) -> None:
    kinds = (Queue, BaseWorker)
    if not isinstance(target, kinds) and not (
        isinstance(target, type) and issubclass(target, kinds)
    ):
        raise TypeError(
            f"{function}() argument 'target' must be a queue or a worker of RQ, got {target!r}"
        )


def _with_queues(target: Any) -> list[Any]:
    # A worker keeps jobs in the registries of its queues, which check the class.
    return [target, *target.queues] if isinstance(target, BaseWorker) else [target]


def _is_installed(target: Any) -> bool:
    return "_ctxvars_job_class" in vars(target)


def _restore(target: Any) -> None:
    before = target._ctxvars_job_class
    del target._ctxvars_job_class
    if before is None:
        del target.job_class
    else:
        target.job_class = before


def _class_with(options: Options, base: type[Job]) -> Any:
    if base is Job and options == ContextJob._ctxvars_options:
        # This class can be imported, as a `SpawnWorker` requires.
        return ContextJob
    bases = (base,) if issubclass(base, ContextJob) else (ContextJob, base)
    found: Any = type(base.__name__, bases, {"__module__": base.__module__})
    found._ctxvars_options = options
    return found
