"""WSGI servers: requests set portable variables, in Flask, Django, Pyramid.

`PortableMiddleware` runs the application in a copy of the context of its thread. The server
iterates over the response after the call, so each step of the iteration, and `close`, run in this
copy, too. The copy is dropped with the response. So a thread that serves the next request has
values neither of this request, nor of the code of the application.
"""

from __future__ import annotations

from _contextvars import Context as NativeContext
from _contextvars import copy_context
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from ctxvars._portable.headers.extract import Accept, Received
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.options import checked_options

__all__ = ["RECEIVED", "PortableMiddleware"]

RECEIVED = "ctxvars.received"
"""The key of the `ctxvars.Received` object in the environment of a request."""

_Environ: TypeAlias = dict[str, Any]
_StartResponse: TypeAlias = Callable[..., Any]
_App: TypeAlias = Callable[[_Environ, _StartResponse], Iterable[bytes]]


class PortableMiddleware:
    """Runs each request with the values of its header `baggage`.

    A declared variable that was not received has no value in the request. Values that the
    application sets are dropped at the end of the response. The application finds the received
    object in `environ["ctxvars.received"]`: its `errors` list what was dropped, and its `foreign`
    members can be passed on.

    Args:
        app: a WSGI application.
        accept: the variables that a client may set, by name; or a level, as for `ctxvars.extract`.
            By default, a client may set nothing. A server does not see whether a request comes from
            the public, and a client that may set the tenant chooses its tenant. So the permission
            is an argument: names at the edge of your network, `"internal"` behind it. A name that
            is not accepted is logged once.
        signer: if given, only values with a valid signature are taken.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level. Names are checked by
            the first request, when all modules that declare variables have been imported.

    A response that is a list, or made by `wsgi.file_wrapper`, is returned as it is: the server may
    send it without iterating. No header fails a request. O(declared variables + length of the
    header) for each request, and O(1) for each step of the response.

    >>> import ctxvars
    >>> locale = ctxvars.portable(ctxvars.ContextVar("locale", default="en"), "example.locale.wsgi")
    >>> def app(environ, start_response):
    ...     start_response("200 OK", [])
    ...     yield locale.get()
    >>> middleware = PortableMiddleware(app, accept=["example.locale.wsgi"])
    >>> list(middleware({"HTTP_BAGGAGE": "example.locale.wsgi=fr"}, lambda *_: None))
    ['fr']
    """

    def __init__(self, app: _App, *, accept: Accept = (), signer: Signer | None = None) -> None:
        self._app = app
        self._options = checked_options("PortableMiddleware", accept=accept, signer=signer)

    def __call__(self, environ: _Environ, start_response: _StartResponse) -> Iterable[bytes]:
        environ[RECEIVED] = received = self._options.extract(environ, _baggage)
        context = copy_context()
        body = context.run(self._call, received, environ, start_response)
        if type(body) in (list, tuple) or _is_file(body, environ):
            return body
        return _Body(body, context)

    def _call(
        self, received: Received, environ: _Environ, start_response: _StartResponse
    ) -> Iterable[bytes]:
        # Not left: the context is dropped after the response.
        received.__enter__()
        return self._app(environ, start_response)


def _baggage(environ: _Environ, name: str) -> object:
    return environ.get("HTTP_BAGGAGE")


def _is_file(body: object, environ: _Environ) -> bool:
    """Whether a response is a file that the server may send by a system call."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


class _Body:
    """A response whose steps run in the context of its request."""

    __slots__ = ("_body", "_context", "_iterator")

    def __init__(self, body: Iterable[bytes], context: NativeContext) -> None:
        self._body = body
        self._context = context
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = self._context.run(iter, self._body)
        return self._context.run(next, self._iterator)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)
