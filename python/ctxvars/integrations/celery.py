"""Celery: tasks run with the portable variables of the code that sent them.

The values travel as the header `baggage` of the message. These hooks are used:

- `app.send_task`, which sends all tasks, those of canvases, retries and callbacks included. It is
  replaced on the app, because the signal `before_task_publish` neither has the app nor passes
  exceptions on: a value that cannot be encoded has to be an error of the sender.
- `before_task_publish`, to write the header again if another receiver has replaced it, as
  OpenTelemetry does.
- `task_prerun` and `task_postrun`, which run in the context of the task. The second one takes back
  all changes of variables since the first one. So a task that fails, is retried or exceeds its soft
  time limit leaves nothing behind. A process that is killed has nothing to leave.
- `worker_process_init`: a pool process that is spawned gets a copy of the app, without the
  attributes of the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from celery import Celery, current_app, signals

from ctxvars._core import ContextVar
from ctxvars._locks import lasting_lock
from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER
from ctxvars._portable.headers.extract import Accept, another, extract
from ctxvars._portable.headers.signing import Signer
from ctxvars._portable.jobs import (
    RunningJob,
    finish_job,
    running_job,
    start_job,
    write_again,
)
from ctxvars.integrations._shared.options import Options, checked_options

__all__ = ["install", "uninstall"]

_installed: WeakKeyDictionary[Celery, Options] = WeakKeyDictionary()
_lock = lasting_lock()
_sending: ContextVar[tuple[Options | None, Any]] = ContextVar(
    "ctxvars.celery.sending", default=(None, None)
)
"""The options with which a message is sent, and the header."""


def install(
    app: Celery,
    *,
    to: Level = "internal",
    accept: Accept = "internal",
    signer: Signer | None = None,
) -> None:
    """Let the tasks of an app run with the portable variables of the code that sent them.

    Args:
        app: the app. Call `install` in the module that creates it, which workers import, too. Other
            apps are not affected.
        to, signer: as for `ctxvars.inject`.
        accept: as for `ctxvars.extract`.

    A second call replaces the options.

    Raises:
        TypeError: `app` is not an app of Celery, or an option is of another type.
        ValueError: `to` or `accept` is not a level.

    Sending a task raises what `ctxvars.inject` raises. O(declared variables + length of the header)
    for each message and each task.
    """
    found = _checked_app("install", app)
    options = checked_options("install", to, accept, signer)
    with _lock:
        _install(found, options)
        for each in _RECEIVERS:
            each.connect()


def uninstall(app: Celery) -> None:
    """Undo `install`. Call it while no task runs.

    Raises:
        ValueError: `install` was not called for the app.
    """
    found = _checked_app("uninstall", app)
    with _lock:
        if _installed.pop(found, None) is None:
            raise ValueError(f"ctxvars.integrations.celery is not installed for {found!r}")
        _restore(found)
        if not _installed:
            for each in _RECEIVERS:
                each.disconnect()


def _checked_app(function: str, app: Any) -> Celery:
    # Such as `celery.current_app`, which is a proxy.
    found = app._get_current_object() if hasattr(app, "_get_current_object") else app
    if not isinstance(found, Celery):
        raise TypeError(f"{function}() argument 'app' must be a celery.Celery, got {app!r}")
    return found


def _install(app: Celery, options: Options) -> None:
    if app not in _installed:
        replaced = vars(app).get("send_task")
        app.send_task = _sender(app, app.send_task)
        # On the app, because the functions refer to it, and the table must not keep it alive.
        app._ctxvars_send_task = app.send_task, replaced
    _installed[app] = options


def _restore(app: Celery) -> None:
    """Remove the `send_task` of `_install`, unless another package has replaced it."""
    installed, replaced = app._ctxvars_send_task
    del app._ctxvars_send_task
    if vars(app).get("send_task") is not installed:
        return
    if replaced is None:
        del app.send_task
    else:
        app.send_task = replaced


# Sending


def _sender(app: Celery, send_task: Any) -> Any:
    """Return a `send_task` for an app, which adds the header."""

    @wraps(send_task)
    def send_with_values(name: str, *args: Any, **kwargs: Any) -> Any:
        # Another package may have wrapped this function, and call it after `uninstall`.
        options = _installed.get(app)
        if options is None:
            return send_task(name, *args, **kwargs)
        # The headers may belong to a signature, which is sent more than once.
        headers = dict(kwargs.get("headers") or {})
        job = running_job()
        if job is None or not _is_retry(job, kwargs):
            options.inject(headers)
            return _send(options, send_task, name, args, {**kwargs, "headers": headers})
        with another(job.received):
            write_again(options.inject, headers, job.received.foreign)
            return _send(options, send_task, name, args, {**kwargs, "headers": headers})

    return send_with_values


def _is_retry(job: RunningJob, kwargs: dict[str, Any]) -> bool:
    """Whether the running task sends itself once more."""
    return bool(kwargs.get("retries")) and kwargs.get("task_id") == getattr(job.message, "id", None)


def _send(options: Options, send_task: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    _BEFORE_PUBLISH.connect()
    with _sending.scope((options, kwargs["headers"].get(HEADER))):
        return send_task(name, *args, **kwargs)


def _before_publish(headers: dict[str, Any], **_: Any) -> None:
    """Write the header again, if another receiver has replaced it.

    OpenTelemetry writes the values that the running task has received, which may have changed.
    """
    options, written = _sending.get()
    if options is not None and headers.get(HEADER) != written:
        write_again(options.inject, headers, extract(headers, accept="process").foreign)


# Running


def _before_run(task: Any, **_: Any) -> None:
    options = _installed.get(task.app)
    if options is None:
        return
    _AFTER_RUN.connect()
    request = task.request
    # Without values, if one of the next steps fails: Celery logs the exception, and runs the task.
    received = extract({})
    try:
        headers = _headers_of(request)
        if request.is_eager:
            # An eager task is not sent. It sees what it would see in a worker.
            headers = options.inject(dict(headers))
        received = options.extract(headers)
    finally:
        start_job(request, received)


def _headers_of(request: Any) -> Mapping[str, Any]:
    found = vars(request).get(HEADER)
    if found is not None:
        return {HEADER: found}
    # The second version of the protocol allows any object.
    return request.headers if isinstance(request.headers, Mapping) else {}


def _after_run(task: Any, **_: Any) -> None:
    finish_job(task.request)


def _after_process_start(**_: Any) -> None:
    app = current_app._get_current_object()
    with _lock:
        for each, options in list(_installed.items()):
            if each.main == app.main and app not in _installed:
                _install(app, options)


# Receivers


class _Receiver:
    """A receiver of a signal that runs behind all receivers that were connected before."""

    def __init__(self, signal: Any, function: Any) -> None:
        self._signal = signal
        self._function = function
        self._numbers = count()
        self._connected = ""

    def connect(self) -> None:
        """Connect the receiver, or move it behind those that were connected meanwhile.

        It is connected once more before it is disconnected: another thread may send the signal now,
        and the functions may be called twice.
        """
        if any(each is self._function for _, each in self._signal.receivers[-1:]):
            return
        with _lock:
            new = f"{__name__}.{self._function.__name__}.{next(self._numbers)}"
            self._signal.connect(self._function, weak=False, dispatch_uid=new)
            self._disconnect()
            self._connected = new

    def disconnect(self) -> None:
        with _lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connected:
            self._signal.disconnect(dispatch_uid=self._connected)
            self._connected = ""


_BEFORE_PUBLISH = _Receiver(signals.before_task_publish, _before_publish)
_AFTER_RUN = _Receiver(signals.task_postrun, _after_run)
_RECEIVERS = (
    _BEFORE_PUBLISH,
    _Receiver(signals.task_prerun, _before_run),
    _AFTER_RUN,
    _Receiver(signals.worker_process_init, _after_process_start),
)
