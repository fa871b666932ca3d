"""Reading a header from the objects that servers and clients keep headers in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ctxvars._portable.headers.baggage import HEADER

_BYTES = HEADER.encode()

# Of Werkzeug and Starlette, httpx, multidict and the standard library's email.message.
_ALL_VALUES = ("getlist", "get_list", "getall", "get_all")


def header_values(headers: Any) -> list[str]:
    """Return the values of all headers `baggage`, in order.

    Values that are neither text nor bytes, which some brokers allow, are ignored.

    Raises:
        TypeError: `headers` is neither a mapping nor an iterable of pairs.
    """
    if type(headers) is dict:
        found = headers.get(HEADER)
        if type(found) is str:
            return [found]
        return _of_pairs(headers.items())
    if isinstance(headers, Mapping) or hasattr(headers, "keys"):
        return _of_mapping(headers)
    if isinstance(headers, Iterable) and not isinstance(headers, str | bytes):
        return _of_pairs(headers)
    raise TypeError(
        "extract() argument 'headers' must be a mapping or an iterable of pairs, got "
        f"{headers!r}; pass a 'getter' for other objects"
    )


def _of_mapping(headers: Any) -> list[str]:
    for name in _ALL_VALUES:
        method = getattr(headers, name, None)
        if method is not None:
            # multidict raises KeyError without a second argument, which other packages do not take.
            return as_texts(method(HEADER)) if HEADER in headers else []
    found = headers.get(HEADER)
    return as_texts(found) if found is not None else _of_pairs(headers.items())


def _of_pairs(pairs: Iterable[Any]) -> list[str]:
    found: list[str] = []
    for pair in pairs:
        # Pairs of gRPC have names, those of ASGI are lists or tuples.
        name, value = pair
        # Names have any case in HTTP/1 and in the environment.
        if len(name) == 7 and (name.lower() == HEADER or name.lower() == _BYTES):
            found += as_texts(value)
    return found


def as_texts(value: Any) -> list[str]:
    """Return the texts of a value, or of a list of values."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, bytes | bytearray | memoryview):
        # Never fails; octets beyond ASCII are refused with their members.
        return [bytes(value).decode("latin-1")]
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return [text for each in value if isinstance(each, str | bytes) for text in as_texts(each)]
    return []
