"""httpx: a client sends portable variables to the hosts of a list.

`install` adds a hook for requests, which is called for each redirect as well. httpx makes a
redirect from the headers of the last request, so the hook first takes back the members that it has
added, and keeps those of the program. It finds them in the extensions of the request, which httpx
copies into the redirect, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import httpx

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER, OWS
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.hosts import Outgoing, checked_outgoing

__all__ = ["install", "uninstall"]

_SENT = "ctxvars.sent"


class _Sent(NamedTuple):
    """The header of a request, before and after values were added."""

    before: tuple[str, ...]
    after: str


class _Hook:
    """Writes the header of each request."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.outgoing = outgoing

    def __call__(self, request: httpx.Request) -> None:
        headers, url = request.headers, request.url
        sent = request.extensions.pop(_SENT, None)
        if sent is not None:
            _take_back(headers, sent)
        before = tuple(headers.get_list(HEADER))
        self.outgoing.inject(headers, url.scheme, url.raw_host.decode("ascii"), url.port)
        after = headers.get(HEADER)
        if after is not None and before != (after,):
            request.extensions[_SENT] = _Sent(before, after)


class _AsyncHook(_Hook):
    async def __call__(self, request: httpx.Request) -> None:  # type: ignore[override]
        super().__call__(request)


def _take_back(headers: httpx.Headers, sent: _Sent) -> None:
    """Give a header the members that it had before values were added."""
    now = headers.get_list(HEADER)
    if now == [sent.after]:
        kept = list(sent.before)
    else:
        # Another program, such as OpenTelemetry, has changed the header in the meantime.
        before = _members(sent.before)
        added = set(_members([sent.after])) - set(before)
        kept = [each for each in _members(now) if each not in added]
        names = {_name_of(each) for each in kept}
        kept += [each for each in before if _name_of(each) not in names]
    if kept:
        headers[HEADER] = ",".join(kept)
    else:
        headers.pop(HEADER, None)


def _members(texts: Iterable[str]) -> list[str]:
    members = (each.strip(OWS) for text in texts for each in text.split(","))
    return [each for each in members if each]


def _name_of(member: str) -> str:
    return member.partition("=")[0].strip(OWS)


def install(
    client: httpx.Client | httpx.AsyncClient,
    *,
    hosts: Iterable[str],
    to: Level = "internal",
    signer: Signer | None = None,
) -> None:
    """Send the values of portable variables with the requests of a client.

    Args:
        client: an `httpx.Client` or `httpx.AsyncClient`. Functions such as `httpx.get` make a new
            client for each request, and send nothing.
        hosts: the hosts that values are sent to, such as `stock.example`, `stock.example:8080` or
            `*.example`. A redirect to another host travels without the values.
        to: the level of these hosts, as for `ctxvars.inject`.
        signer: signs the values.

    A second call replaces the options. Setting `client.event_hooks` removes the hook.

    Raises:
        TypeError, ValueError: an option has another type, or `hosts` has something else.

    A request raises the exception of an encoder. O(1); for each request O(hosts), and the time of
    `inject`.

    >>> import ctxvars, httpx
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "example.tenant.httpx")
    >>> def respond(request):
    ...     return httpx.Response(200, text=request.headers.get("baggage", "nothing"))
    >>> client = httpx.Client(transport=httpx.MockTransport(respond))
    >>> install(client, hosts=["*.shop.example"])
    >>> with tenant.scope("globex"):
    ...     client.get("https://stock.shop.example/tea").text
    ...     client.get("https://example.com/").text
    'example.tenant.httpx=globex'
    'nothing'
    """
    outgoing = checked_outgoing("install", hosts, to, signer)
    hooks = client.event_hooks["request"]
    found = _installed(hooks)
    if found is not None:
        found.outgoing = outgoing
    elif isinstance(client, httpx.AsyncClient):
        hooks.append(_AsyncHook(outgoing))
    else:
        hooks.append(_Hook(outgoing))


def uninstall(client: httpx.Client | httpx.AsyncClient) -> None:
    """Undo `install`.

    Raises:
        ValueError: `install` was not called for this client.

    O(hooks).
    """
    hooks = client.event_hooks["request"]
    found = _installed(hooks)
    if found is None:
        raise ValueError(f"uninstall(): {client!r} does not send portable variables")
    hooks.remove(found)


def _installed(hooks: list[Callable[..., Any]]) -> _Hook | None:
    return next((each for each in hooks if isinstance(each, _Hook)), None)
