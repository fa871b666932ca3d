"""The hosts that HTTP clients send values to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, NamedTuple

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.options import Options, checked_options

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
# Underscores are not in the standard, but in names of containers.
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_ENDS_WITH_NUMBER = re.compile(r"(.*\.)?[0-9]+")


class _Pattern(NamedTuple):
    host: str
    port: int | None


class Hosts:
    """A list of hosts, each of them one of these:

    | pattern | matches |
    | --- | --- |
    | `stock.example` | this host, on all ports |
    | `stock.example:8080` | this host, on this port |
    | `*.example` | all names that end with `.example`, at any depth, but not `example` |
    | `*.example:443` | these names, on this port |
    | `10.0.0.7`, `[::1]`, `[::1]:8000`, `::1` | this address |

    A URL without a port has the default port of its scheme. Case does not matter, nor does a dot at
    the end of a name. All spellings of an IPv6 address are equal. A pattern with `*` matches names
    only, not addresses: otherwise `*.0.0.1` would match 10.0.0.1.

    Names are compared in ASCII, as clients send them. Write an international name in Punycode,
    `xn--...`: two libraries may convert it differently, and values would go to another host.
    """

    __slots__ = ("_exact", "_suffixes")

    def __init__(self, function: str, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str) or not isinstance(patterns, Iterable):
            raise TypeError(
                f"{function}() argument 'hosts' must be a collection of hosts, got {patterns!r}"
            )
        exact, suffixes = [], []
        for each in patterns:
            found = _parsed(each)
            if found is None:
                raise ValueError(
                    f"{function}() argument 'hosts' must have hosts such as 'stock.example', "
                    f"'stock.example:8080', '*.example' or '[::1]:8000', got {each!r}"
                )
            if found.host.startswith("*"):
                suffixes.append(_Pattern(found.host[1:], found.port))
            else:
                exact.append(found)
        self._exact = frozenset(exact)
        self._suffixes = tuple(suffixes)

    def match(self, scheme: str, host: str | None, port: int | None) -> bool:
        """Whether the host of a URL is in the list.

        Args:
            scheme: of the URL. It gives the default port.
            host: the host in ASCII, an IPv6 address with or without brackets.
            port: the port, or `None` if the URL has none.
        """
        if not host:
            return False
        host = _normal(host)
        if port is None:
            port = _DEFAULT_PORTS.get(scheme.lower())
        if (host, None) in self._exact or (host, port) in self._exact:
            return True
        if ":" in host or _ENDS_WITH_NUMBER.fullmatch(host):
            return False
        return any(
            # A suffix begins with a dot, so `evil-example` does not match `*.example`.
            host.endswith(suffix) and len(host) > len(suffix) and allowed in (None, port)
            for suffix, allowed in self._suffixes
        )


def _parsed(pattern: object) -> _Pattern | None:
    """Return the host and the port of a pattern; `None` if it is not a pattern."""
    if not isinstance(pattern, str) or not pattern.isascii():
        return None
    host, port = pattern, ""
    if pattern.startswith("["):
        host, bracket, rest = pattern[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            return None
        has_port, port = bool(rest), rest[1:]
    elif has_port := pattern.count(":") == 1:
        host, _, port = pattern.partition(":")
    if has_port and not (port.isdigit() and 0 < int(port) < 65536):
        return None
    host = _normal(host)
    is_suffix = host.startswith("*.")
    name = host[2:] if is_suffix else host
    if ":" in name:
        if is_suffix or not _is_address(name):
            return None
    elif not _NAME.fullmatch(name) or (is_suffix and _ENDS_WITH_NUMBER.fullmatch(name)):
        return None
    return _Pattern(host, int(port) if has_port else None)


def _normal(host: str) -> str:
    """Return the form of a host that is compared."""
    host = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    return str(ip_address(host)) if ":" in host and _is_address(host) else host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Outgoing(NamedTuple):
    """The values that a client sends, and the hosts that it sends them to."""

    hosts: Hosts
    options: Options

    def inject(self, headers: Any, scheme: str, host: str | None, port: int | None) -> None:
        """Write values into the headers of a request, if its host is in the list."""
        if self.hosts.match(scheme, host, port):
            self.options.inject(headers)


def checked_outgoing(
    function: str, hosts: Iterable[str], to: Level, signer: Signer | None
) -> Outgoing:
    """Return what to send, and where, if the options are right."""
    return Outgoing(Hosts(function, hosts), checked_options(function, to=to, signer=signer))
