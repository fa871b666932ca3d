"""Dramatiq: actors run with the portable variables of the code that sent the message.

The values travel as the option `baggage` of the message. `ContextMiddleware` uses these hooks:

- `before_enqueue`, which is called for all messages: sent ones, those of pipelines, retries, and
  delayed messages when they are due. The last two keep the values of the first call.
- `before_process_message`, and `after_process_message` or `after_skip_message`, which run on the
  thread of the worker, in the context of the actor. The last two take back all changes of
  variables.

The middleware is the first one. So it is the last one after a message, and sees the values that
`Pipelines`, `Callbacks` and `Retries` send.
"""

from __future__ import annotations

from typing import Any

from dramatiq.broker import Broker
from dramatiq.middleware import Middleware, MiddlewareError

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER
from ctxvars._portable.headers.extract import Accept, extract
from ctxvars._portable.headers.signing import Signer
from ctxvars._portable.jobs import finish_job, running_job, start_job, write_received
from ctxvars.integrations._shared.options import checked_options

__all__ = ["ContextMiddleware", "ValueNotSent", "install", "uninstall"]


class ValueNotSent(MiddlewareError):
    """A message is not sent, because the values of portable variables cannot be sent.

    The cause is the exception of `ctxvars.inject`. Dramatiq logs all exceptions of middleware but
    those of the type `MiddlewareError`.
    """


class ContextMiddleware(Middleware):
    """Lets actors run with the portable variables of the code that sent the message.

    `install` adds it to a broker. In a list of all middleware, for `Broker(middleware=...)`, it has
    to be the first.

    Args:
        to, signer: as for `ctxvars.inject`.
        accept: as for `ctxvars.extract`.

    Raises:
        TypeError: an option is of another type.
        ValueError: `to` or `accept` is not a level.

    O(declared variables + length of the values) for each message.
    """

    def __init__(
        self,
        *,
        to: Level = "internal",
        accept: Accept = "internal",
        signer: Signer | None = None,
    ) -> None:
        self._options = checked_options("ContextMiddleware", to, accept, signer)

    def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        """Write the values into a message that has none yet.

        Raises:
            ValueNotSent: a value cannot be encoded, or the values are too long.
        """
        headers: dict[str, Any] = {}
        job = running_job()
        try:
            if job is not None and _id_of(job.message) == message.message_id:
                write_received(self._options.inject, headers, job.received)
            elif type(message.options.get(HEADER)) in (type(None), _Written):
                self._options.inject(headers)
            else:
                # A delayed message that is due. This thread does not have its values.
                return
        except Exception as error:
            notes = getattr(error, "__notes__", ())
            raise ValueNotSent("; ".join((str(error), *notes))) from error
        # Also without values, so that a delayed message does not get those of the worker.
        message.options[HEADER] = _Written(headers.get(HEADER, ""))

    def before_process_message(self, broker: Any, message: Any) -> None:
        """Set the values in a message."""
        # A time limit may have interrupted the hook behind the last message of this thread.
        job = running_job()
        if job is not None:
            finish_job(job.message)
        # Without values, if the names to accept are wrong: Dramatiq only logs the exception.
        received = extract({})
        try:
            received = self._options.extract({HEADER: message.options.get(HEADER)})
        finally:
            start_job(message, received)

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        """Take back the changes of variables."""
        finish_job(message)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        """Take back the changes of variables."""
        finish_job(message)


class _Written(str):
    """The text in a message of this process. A sender may send the message again later."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


def _id_of(message: Any) -> object:
    return getattr(message, "message_id", None)


def _installed(broker: Any) -> ContextMiddleware | None:
    found = (each for each in broker.middleware if isinstance(each, ContextMiddleware))
    return next(found, None)


def install(
    broker: Broker,
    *,
    to: Level = "internal",
    accept: Accept = "internal",
    signer: Signer | None = None,
) -> None:
    """Add a `ContextMiddleware` to a broker, in front of the middleware that it has.

    Args:
        broker: the broker. Call `install` in the module that creates it, which workers import, too.
        to, signer: as for `ctxvars.inject`.
        accept: as for `ctxvars.extract`.

    A second call replaces the options.

    Raises:
        TypeError: `broker` is not a broker, or an option is of another type.
        ValueError: `to` or `accept` is not a level.

    O(number of middleware).
    """
    _check_broker("install", broker)
    new = ContextMiddleware(to=to, accept=accept, signer=signer)
    present = _installed(broker)
    if present is not None:
        present._options = new._options
    elif broker.middleware:
        broker.add_middleware(new, before=type(broker.middleware[0]))
    else:
        broker.add_middleware(new)


def uninstall(broker: Broker) -> None:
    """Undo `install`. Call it while no message is processed.

    Raises:
        ValueError: the broker does not have a `ContextMiddleware`.
    """
    _check_broker("uninstall", broker)
    present = _installed(broker)
    if present is None:
        raise ValueError(f"ctxvars.integrations.dramatiq is not installed for {broker!r}")
    broker.middleware.remove(present)


def _check_broker(function: str, broker: object) -> None:
    if not isinstance(broker, Broker):
        raise TypeError(f"{function}() argument 'broker' must be a dramatiq.Broker, got {broker!r}")
