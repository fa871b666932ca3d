"""ASGI servers: requests set portable variables, in FastAPI, Starlette, Quart, Litestar, Django.

`PortableMiddleware` is a pure ASGI middleware. It calls the application in its own task, not in
another one as `BaseHTTPMiddleware` of Starlette does. So streaming responses and background tasks,
which run before the application returns, see the values as well.

The call is isolated: its steps run in a copy of the context of the server. A server may handle all
requests of a connection in one task, or run the first step of a task eagerly, in the context of its
caller. In both cases, values that the application sets stay in the request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from ctxvars._isolation.isolated import isolated
from ctxvars._portable.headers.extract import Accept
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.options import checked_options

__all__ = ["RECEIVED", "PortableMiddleware"]

RECEIVED = "ctxvars.received"
"""The key of the `ctxvars.Received` object in the scope of a request."""

_Scope: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App: TypeAlias = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


class PortableMiddleware:
    """Runs each request and each WebSocket with the values of its header `baggage`.

    A declared variable that was not received has no value in the request. Values that the
    application sets are dropped at the end of the request. The application finds the received
    object in `scope["ctxvars.received"]`: its `errors` list what was dropped, and its `foreign`
    members can be passed on. Other types of scopes, such as "lifespan", pass unchanged.

    Args:
        app: an ASGI application.
        accept: the variables that a client may set, by name; or a level, as for `ctxvars.extract`.
            By default, a client may set nothing. A server does not see whether a request comes from
            the public, and a client that may set the tenant chooses its tenant. So the permission
            is an argument: names at the edge of your network, `"internal"` behind it. A name that
            is not accepted is logged once.
        signer: if given, only values with a valid signature are taken.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level. Names are checked by
            the first request, when all modules that declare variables have been imported.

    No header fails a request. O(declared variables + length of the header) for each request.

    >>> import asyncio
    >>> import ctxvars
    >>> locale = ctxvars.portable(ctxvars.ContextVar("locale", default="en"), "example.locale.asgi")
    >>> async def app(scope, receive, send):
    ...     print(locale.get(), scope["ctxvars.received"].errors)
    >>> middleware = PortableMiddleware(app, accept=["example.locale.asgi"])
    >>> scope = {"type": "http", "headers": [(b"baggage", b"example.locale.asgi=fr")]}
    >>> asyncio.run(middleware(scope, None, None))
    fr ()
    """

    def __init__(self, app: _App, *, accept: Accept = (), signer: Signer | None = None) -> None:
        self._app = app
        self._options = checked_options("PortableMiddleware", accept=accept, signer=signer)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] in ("http", "websocket"):
            await self._handle(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @isolated
    async def _handle(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        received = self._options.extract(scope.get("headers", ()))
        # Not in a copy of the scope: middlewares around this one read what routers store there.
        scope[RECEIVED] = received
        with received:
            await self._app(scope, receive, send)
