"""requests: a session sends portable variables to the hosts of a list.

`install` puts an adapter before each adapter of the session. A session passes each request to an
adapter, and each redirect as a new request. `PortableAdapter` writes the header into a copy of the
request, which is sent. A redirect is made from the original, without the header, so values do not
travel to hosts that are not in the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any
from urllib.parse import urlparse

from requests.adapters import BaseAdapter
from requests.models import PreparedRequest, Response
from requests.sessions import Session

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.hosts import Hosts, checked_outgoing

__all__ = ["PortableAdapter", "install", "uninstall"]


class PortableAdapter(BaseAdapter):
    """Sends values, if the host is in the list, by another adapter.

    `install` makes these adapters. For some URLs only, mount one by `session.mount`.

    Args:
        adapter: the adapter that sends requests. Attributes that this class does not have are those
            of `adapter`.
        hosts, to, signer: as for `install`.
    """

    def __init__(
        self,
        adapter: BaseAdapter,
        *,
        hosts: Iterable[str],
        to: Level = "internal",
        signer: Signer | None = None,
    ) -> None:
        super().__init__()
        self.adapter = adapter
        self._outgoing = checked_outgoing("PortableAdapter", hosts, to, signer)

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Send a request, with the values if its host is in the list."""
        if _is_in(self._outgoing.hosts, request.url):
            # With all attributes of the request, such as those of subclasses. `copy()` drops them.
            request = copy(request)
            request.headers = request.headers.copy()
            self._outgoing.options.inject(request.headers)
        response: Response = self.adapter.send(request, *args, **options)
        return response

    def close(self) -> None:
        """Close the other adapter."""
        self.adapter.close()

    def __getattr__(self, name: str) -> Any:
        # While a session is unpickled, the attribute is not set yet.
        if name == "adapter":
            raise AttributeError(name)
        return getattr(self.adapter, name)

    def __repr__(self) -> str:
        return f"<PortableAdapter of {self.adapter!r}>"


def install(
    session: Session,
    *,
    hosts: Iterable[str],
    to: Level = "internal",
    signer: Signer | None = None,
) -> None:
    """Send the values of portable variables with the requests of a session.

    Args:
        session: a `requests.Session`. Functions such as `requests.get` make a new session for each
            request, and send nothing.
        hosts: the hosts that values are sent to, such as `stock.example`, `stock.example:8080` or
            `*.example`.
        to: the level of these hosts, as for `ctxvars.inject`.
        signer: signs the values.

    A second call replaces the options of all its `PortableAdapter` objects, and includes adapters
    that were mounted meanwhile.

    Raises:
        TypeError, ValueError: an option has another type, or `hosts` has something else.

    A request raises the exception of an encoder. O(adapters); for each request O(hosts), and the
    time of `inject`.
    """
    outgoing = checked_outgoing("install", hosts, to, signer)
    # Not by `mount`, which changes the order of prefixes that have the same length.
    for prefix, adapter in session.adapters.items():
        if not isinstance(adapter, PortableAdapter):
            adapter = session.adapters[prefix] = PortableAdapter(adapter, hosts=())
        adapter._outgoing = outgoing


def uninstall(session: Session) -> None:
    """Undo `install`. Adapters that were mounted in the meantime stay.

    Raises:
        ValueError: `install` was not called for this session.

    O(adapters).
    """
    adapters = session.adapters
    if not any(isinstance(each, PortableAdapter) for each in adapters.values()):
        raise ValueError(f"uninstall(): {session!r} does not send portable variables")
    adapters.update({prefix: _original(adapter) for prefix, adapter in adapters.items()})


def _is_in(hosts: Hosts, url: str | None) -> bool:
    try:
        # By the function of the adapters of requests, so they connect to the host that is found.
        parts = urlparse(url or "")
        return hosts.match(parts.scheme, parts.hostname, parts.port)
    except ValueError:
        # The adapter reports it.
        return False


def _original(adapter: BaseAdapter) -> BaseAdapter:
    return adapter.adapter if isinstance(adapter, PortableAdapter) else adapter
