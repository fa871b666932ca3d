"""SAQ: jobs run with the portable variables of the code that enqueued them.

The values travel in `job.meta["baggage"]`. These hooks are used:

- `before_enqueue` of the queue writes the text. An exception of an encoder is raised by `enqueue`.
- `before_process` of the worker sets the values. SAQ then starts the function in a task of asyncio,
  or in a thread with a copy of the context. So no other job sees what the function sets.
- `after_process` takes the values away again, for programs that call `Worker.process` themselves.
- `startup` takes the values of the code that starts the worker away, because the worker enqueues
  cron jobs itself.

A retry does not pass `before_enqueue`, and so it has the values of the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from saq import Job, Queue, Worker

from ctxvars._missing import MISSING
from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER
from ctxvars._portable.headers.extract import Accept, extract
from ctxvars._portable.headers.signing import Signer
from ctxvars._portable.jobs import write_again
from ctxvars._portable.processes.payload import clear_portable
from ctxvars.integrations._shared.options import Options, checked_options

__all__ = ["RECEIVED", "install", "uninstall"]

RECEIVED = "ctxvars.received"
"""The key of the `ctxvars.Received` object in the context of a job."""


def install(
    target: Queue | Worker | dict[str, Any],
    *,
    to: Level = "internal",
    accept: Accept = "internal",
    signer: Signer | None = None,
) -> None:
    """Let jobs run with the portable variables of the code that enqueued them.

    Args:
        target: a queue (`saq.Queue`), which enqueues jobs; or a worker (`saq.Worker`), or its
            settings, a dict as for the command `saq`. A worker and settings include their queue.
        to, signer: as for `ctxvars.inject`.
        accept: as for `ctxvars.extract`.

    A second call replaces the options.

    Raises:
        TypeError: `target` is of another type, or an option is.
        ValueError: `to` or `accept` is not a level.

    O(declared variables + length of the text) for each job.
    """
    if not isinstance(target, Queue | Worker | dict):
        raise TypeError(
            "install() argument 'target' must be a saq.Queue, a saq.Worker or the settings of a "
            f"worker, got {target!r}"
        )
    options = checked_options("install", to, accept, signer)
    queue = _queue_of(target)
    if queue is not None:
        sender = _senders.get(queue)
        if sender is None:
            sender = _senders[queue] = _Sender(queue)
        sender.options = options
    if not isinstance(target, Queue):
        hooks = _hooks_of(target) or _Hooks(target)
        hooks.options = options


def uninstall(target: Queue | Worker | dict[str, Any]) -> None:
    """Undo `install`.

    Raises:
        ValueError: it is not installed for `target`.
    """
    hooks = None if isinstance(target, Queue) else _hooks_of(target)
    queue = _queue_of(target)
    sender = None if queue is None else _senders.pop(queue, None)
    if hooks is None and (sender is None or queue is not target):
        raise ValueError(f"ctxvars.integrations.saq is not installed for {target!r}")
    if sender is not None:
        sender.remove(queue)
    if hooks is not None:
        hooks.remove(target)


def _queue_of(target: Any) -> Any:
    if isinstance(target, Queue):
        return target
    return target.get("queue") if isinstance(target, dict) else target.queue


class _Sender:
    """Writes the texts of the jobs of a queue."""

    options: Options

    def __init__(self, queue: Queue) -> None:
        # The queue finds the hook by its identity, and each access makes another bound method.
        self._hook = self.write
        queue.register_before_enqueue(self._hook)

    def remove(self, queue: Queue) -> None:
        queue.unregister_before_enqueue(self._hook)

    async def write(self, job: Job) -> None:
        # Other jobs may have been made with the same dict. The job itself may have been enqueued
        # before, with other values.
        meta = dict(job.meta or {})
        foreign = extract({HEADER: meta.get(HEADER)}, accept="process").foreign
        write_again(self.options.inject, meta, foreign)
        job.meta = meta


_senders: WeakKeyDictionary[Queue, _Sender] = WeakKeyDictionary()


class _Hooks:
    """Sets the values of the jobs of a worker."""

    options: Options

    def __init__(self, target: Any) -> None:
        self._target = target
        self._originals = {name: _get(target, name) for name in _HOOKS}
        functions = {name: _functions(found) for name, found in self._originals.items()}
        _set(target, "startup", [self.startup, *functions["startup"]])
        _set(target, "before_process", [self.before_process, *functions["before_process"]])
        _set(target, "after_process", [*functions["after_process"], self.after_process])

    def remove(self, target: Any) -> None:
        for name in _HOOKS:
            if target is self._target:
                _set(target, name, self._originals[name])
            else:
                # A worker that was made of the settings.
                functions = _functions(_get(target, name))
                rest = [each for each in functions if getattr(each, "__self__", None) is not self]
                _set(target, name, rest or None)

    async def startup(self, context: Any) -> None:
        clear_portable()

    async def before_process(self, context: Any) -> None:
        meta = context["job"].meta
        text = meta.get(HEADER) if isinstance(meta, dict) else None
        context[RECEIVED] = self.options.extract({HEADER: text}).__enter__()

    async def after_process(self, context: Any) -> None:
        if RECEIVED in context:
            context[RECEIVED].__exit__(None, None, None)


_HOOKS = ("startup", "before_process", "after_process")


def _hooks_of(target: Any) -> _Hooks | None:
    """Return the hooks that are installed for a worker, or the settings that it was made of."""
    owners: Iterator[Any] = (
        getattr(each, "__self__", None) for each in _functions(_get(target, "before_process"))
    )
    return next((each for each in owners if isinstance(each, _Hooks)), None)


def _functions(found: Any) -> list[Any]:
    """Return the functions of a hook: SAQ takes one, or several, or `None`."""
    if found is MISSING or found is None:
        return []
    return [found] if callable(found) else [*found]


def _get(target: Any, name: str) -> Any:
    return target.get(name, MISSING) if isinstance(target, dict) else getattr(target, name)


def _set(target: Any, name: str, value: Any) -> None:
    if not isinstance(target, dict):
        setattr(target, name, value)
    elif value is MISSING:
        del target[name]
    else:
        target[name] = value
