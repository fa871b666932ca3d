"""Servers of aiohttp: requests set portable variables.

aiohttp calls the handler of each request in a new task, and writes the response in this task after
the middlewares have returned. So the middleware sets the values in the context of the task, and
does not undo it: an async generator that is the body of a response sees the values, too. The
context ends with the task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ctxvars._portable.headers.extract import Accept, Received
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.options import checked_options

__all__ = ["RECEIVED", "PortableMiddleware", "install", "uninstall"]

_NAME = "ctxvars.received"
# aiohttp 3.14 warns of keys that are text.
RECEIVED: Any = web.RequestKey(_NAME, Received) if hasattr(web, "RequestKey") else _NAME
"""The key of the `ctxvars.Received` object in a request: `request[RECEIVED]`."""


class PortableMiddleware:
    """Runs each request with the values of its header: `web.Application(middlewares=[...])`.

    A declared variable that was not received has no value in the request. Make it the first one, so
    that all others see the values. The handler finds the received object in `request[RECEIVED]`.

    Args:
        accept: the variables that a client may set, by name; or a level, as for `ctxvars.extract`.
            By default, a client may set nothing: name the variables at the edge of your network,
            and pass "internal" behind it.
        signer: if given, only values with a valid signature are taken.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level. Names are checked by
            the first request.

    No header fails a request. O(declared variables + length of the header) for each request.
    """

    def __init__(self, *, accept: Accept = (), signer: Signer | None = None) -> None:
        self._options = checked_options("PortableMiddleware", accept=accept, signer=signer)
        web.middleware(self)

    async def __call__(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        request[RECEIVED] = received = self._options.extract(request.headers)
        received.__enter__()
        return await handler(request)


def install(app: web.Application, *, accept: Accept = (), signer: Signer | None = None) -> None:
    """Run the requests of an application with the values of their headers.

    Args:
        app: an `aiohttp.web.Application` that has not been started.
        accept, signer: as for `PortableMiddleware`.

    A second call replaces the options.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level.
        RuntimeError: the application has been started.

    O(middlewares).
    """
    options = checked_options("install", accept=accept, signer=signer)
    found = _installed(app)
    if found is None:
        found = PortableMiddleware()
        app.middlewares.insert(0, found)
    found._options = options


def uninstall(app: web.Application) -> None:
    """Undo `install`.

    Raises:
        ValueError: `install` was not called for this application.
        RuntimeError: the application has been started.

    O(middlewares).
    """
    found = _installed(app)
    if found is None:
        raise ValueError(f"uninstall(): {app!r} does not receive portable variables")
    app.middlewares.remove(found)


def _installed(app: web.Application) -> PortableMiddleware | None:
    return next((each for each in app.middlewares if isinstance(each, PortableMiddleware)), None)
