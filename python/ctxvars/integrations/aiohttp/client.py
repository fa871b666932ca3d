"""Sessions of aiohttp send portable variables to the hosts of a list.

A middleware of the client is called for each redirect, with a new request whose headers are those
that the program has passed. So values do not travel to hosts that are not in the list. The signals
of a `TraceConfig` would not do: they see the headers of all redirects together, and the next host
only as a text that is still to be interpreted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import ClientRequest, ClientResponse, ClientSession

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.hosts import checked_outgoing

__all__ = ["PortableMiddleware", "install", "uninstall"]


class PortableMiddleware:
    """Sends values, if the host is in the list: `ClientSession(middlewares=[...])`.

    Make it the last one: middlewares before it may change the host. Middlewares that are passed
    with a single request replace those of the session.

    Args:
        hosts, to, signer: as for `install`.

    Raises:
        TypeError, ValueError: an option has another type, or `hosts` has something else.

    A request raises the exception of an encoder. O(hosts), and the time of `inject`.
    """

    def __init__(
        self, *, hosts: Iterable[str], to: Level = "internal", signer: Signer | None = None
    ) -> None:
        self._outgoing = checked_outgoing("PortableMiddleware", hosts, to, signer)

    async def __call__(
        self, request: ClientRequest, handler: Callable[[ClientRequest], Awaitable[ClientResponse]]
    ) -> ClientResponse:
        headers, url = request.headers, request.url
        before = headers.getall(HEADER, [])
        self._outgoing.inject(headers, url.scheme, url.raw_host, url.explicit_port)
        try:
            return await handler(request)
        finally:
            # Another middleware may send the request again, to another host.
            headers.popall(HEADER, None)
            for each in before:
                headers.add(HEADER, each)


def install(
    session: ClientSession,
    *,
    hosts: Iterable[str],
    to: Level = "internal",
    signer: Signer | None = None,
) -> None:
    """Send the values of portable variables with the requests and WebSockets of a session.

    Args:
        session: an `aiohttp.ClientSession`.
        hosts: the hosts that values are sent to, such as `stock.example`, `stock.example:8080` or
            `*.example`. A redirect to another host travels without the values.
        to: the level of these hosts, as for `ctxvars.inject`.
        signer: signs the values.

    A second call replaces the options. To make a session with its middlewares at once, pass it a
    `PortableMiddleware`.

    Raises:
        TypeError, ValueError: an option has another type, or `hosts` has something else.

    A request raises the exception of an encoder. O(middlewares); for each request O(hosts), and the
    time of `inject`.
    """
    middleware = PortableMiddleware(hosts=())
    middleware._outgoing = checked_outgoing("install", hosts, to, signer)
    # aiohttp has no public attribute for the middlewares of a session.
    others = [each for each in session._middlewares if not isinstance(each, PortableMiddleware)]
    session._middlewares = (*others, middleware)


def uninstall(session: ClientSession) -> None:
    """Undo `install`.

    Raises:
        ValueError: `install` was not called for this session.

    O(middlewares).
    """
    others = [each for each in session._middlewares if not isinstance(each, PortableMiddleware)]
    if len(others) == len(session._middlewares):
        raise ValueError(f"uninstall(): {session!r} does not send portable variables")
    session._middlewares = tuple(others)
