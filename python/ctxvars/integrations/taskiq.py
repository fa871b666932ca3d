"""taskiq: tasks run with the portable variables of the code that sent them.

The values travel as the label `baggage` of the message. `PortableMiddleware` uses these hooks:

- `pre_send` writes the label. An exception of an encoder is raised by `kiq`.
- `pre_execute` sets the values. taskiq runs each message in a task of asyncio, and functions that
  are not coroutines in a copy of its context. So no other message sees what the function sets.
- `post_execute` takes the values away again: `InMemoryBroker(await_inplace=True)` runs a message in
  the context of its sender.

A retry is a new message with the labels of the first one, and so it has the values of the first
one, not those that the function has set before it failed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from taskiq import AsyncBroker, TaskiqMessage, TaskiqMiddleware, TaskiqResult

from ctxvars._core import ContextVar
from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.extract import Accept, Received
from ctxvars._portable.headers.signing import Signer
from ctxvars._portable.jobs import write_received
from ctxvars.integrations._shared.options import checked_options

__all__ = ["PortableMiddleware", "install", "uninstall"]

_MARK = "ctxvars.task"
"""The label of a message that runs, with its id. It shows which messages are made of its labels."""


class _Running(NamedTuple):
    """A message that runs in the current context."""

    task_id: str
    received: Received
    outer: _Running | None


_running: ContextVar[_Running | None] = ContextVar("ctxvars.taskiq.running", default=None)


class PortableMiddleware(TaskiqMiddleware):
    """Sends the values of portable variables with messages, and runs messages with their values.

    A declared variable that was not sent has no value in the task. Middlewares that are added
    before this one do not see the values.

    Args:
        to, signer: as for `ctxvars.inject`.
        accept: as for `ctxvars.extract`.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level.

    No label fails a task. O(declared variables + length of the label) for each message.
    """

    def __init__(
        self,
        *,
        to: Level = "internal",
        accept: Accept = "internal",
        signer: Signer | None = None,
    ) -> None:
        super().__init__()
        self._options = checked_options("PortableMiddleware", to, accept, signer)

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Write the label."""
        labels, running = message.labels, _running.get()
        mark = labels.pop(_MARK, None)
        if running is None or mark != running.task_id:
            self._options.inject(labels)
            return message
        # A retry.
        write_received(self._options.inject, labels, running.received)
        return message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Set the values."""
        received = self._options.extract(message.labels)
        received.__enter__()
        _running.set(_Running(message.task_id, received, _running.get()))
        message.labels[_MARK] = message.task_id
        return message

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        """Take the values away."""
        message.labels.pop(_MARK, None)
        result.labels.pop(_MARK, None)
        running = _running.get()
        if running is not None and running.task_id == message.task_id:
            _running.set(running.outer)
            running.received.__exit__(None, None, None)


def install(
    broker: AsyncBroker,
    *,
    to: Level = "internal",
    accept: Accept = "internal",
    signer: Signer | None = None,
) -> None:
    """Let the tasks of a broker run with the portable variables of the code that sent them.

    Args:
        broker: the broker, to which a `PortableMiddleware` is added. Call `install` in the module
            that creates it, which workers import, too.
        to, signer: as for `ctxvars.inject`.
        accept: as for `ctxvars.extract`.

    A second call replaces the options.

    Raises:
        TypeError: `broker` is not a broker of taskiq, or an option is of another type.
        ValueError: `to` or `accept` is not a level.

    O(middlewares).
    """
    if not isinstance(broker, AsyncBroker):
        raise TypeError(f"install() argument 'broker' must be a taskiq.AsyncBroker, got {broker!r}")
    options = checked_options("install", to, accept, signer)
    installed = _installed(broker)
    if not installed:
        installed = [PortableMiddleware()]
        broker.add_middlewares(*installed)
    for middleware in installed:
        middleware._options = options


def uninstall(broker: AsyncBroker) -> None:
    """Undo `install`: remove the middleware.

    Raises:
        ValueError: the broker does not have a `PortableMiddleware`.

    O(middlewares).
    """
    installed = _installed(broker) if isinstance(broker, AsyncBroker) else []
    if not installed:
        raise ValueError(f"ctxvars.integrations.taskiq is not installed for {broker!r}")
    for middleware in installed:
        broker.middlewares.remove(middleware)


def _installed(broker: AsyncBroker) -> list[PortableMiddleware]:
    return [each for each in broker.middlewares if isinstance(each, PortableMiddleware)]
