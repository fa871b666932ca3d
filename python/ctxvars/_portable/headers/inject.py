"""`inject`: writes the values of portable variables into headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ctxvars._arguments import check_callable
from ctxvars._portable import registry
from ctxvars._portable.declaration import Level, check_level
from ctxvars._portable.headers.baggage import (
    HEADER,
    MAX_BYTES,
    MAX_MEMBERS,
    OWS,
    quote,
    unquote,
    within_limits,
)
from ctxvars._portable.headers.signing import SIGNATURE, Signer
from ctxvars._portable.headers.values import header_values
from ctxvars._portable.registry import UNSET
from ctxvars._public import public

if TYPE_CHECKING:
    from ctxvars._portable.headers.extract import Received

    _Setter = Callable[[Any, str, str], object]

C = TypeVar("C")


@overload
def inject(
    headers: None = None,
    /,
    *,
    to: Level = "internal",
    signer: Signer | None = None,
    foreign: Received | Iterable[str] = (),
    setter: _Setter | None = None,
) -> dict[str, str]: ...
@overload
def inject(
    headers: C,
    /,
    *,
    to: Level = "internal",
    signer: Signer | None = None,
    foreign: Received | Iterable[str] = (),
    setter: _Setter | None = None,
) -> C: ...
def inject(
    headers: Any = None,
    /,
    *,
    to: Level = "internal",
    signer: Signer | None = None,
    foreign: Received | Iterable[str] = (),
    setter: _Setter | None = None,
) -> Any:
    """Write the values of portable variables into headers, as one header `baggage` of W3C.

    Args:
        headers: a mutable mapping; a list of pairs of `bytes` or of `str`, as ASGI and gRPC have
            them, to which a pair is added; any object, with a `setter`; or nothing, for a new dict.
        to: where the headers are sent. "internal" leaves out the variables that are declared for
            "process"; "public" leaves out all but those that are declared for "public".
        signer: signs the values.
        foreign: members of variables that this process does not declare, to be passed on: a result
            of `extract`, or its `foreign`. Those that do not fit are left out.
        setter: called as `setter(headers, "baggage", value)`.

    Returns:
        The headers. Without a value to send, they are not changed. Members that the header has
        already stay, unless a variable replaces them.

    Raises:
        ValueError: the header would exceed the limits of 64 members and 8192 bytes; the message
            names the variable with the longest text. Or `to` is not a level.
        TypeError: `headers` is of another type and has no `setter`.

    An exception of an encoder is passed on, with a note that names the variable. Default values are
    not sent. O(declared variables + length).

    >>> import uuid
    >>> import ctxvars
    >>> request_id = ctxvars.portable(
    ...     ctxvars.ContextVar("request_id"), "acme.request", codec=uuid.UUID, to="public"
    ... )
    >>> with request_id.scope(uuid.UUID(int=1)):
    ...     ctxvars.inject([], to="public")
    [(b'baggage', b'acme.request=00000000-0000-0000-0000-000000000001')]
    """
    tables = registry._tables or registry.tables()
    writers = tables.writers.get(to)
    if writers is None:
        check_level("inject", "to", to)
        raise AssertionError
    members = []
    variable: Any = None
    try:
        for variable, encode in writers:
            value = variable.get(UNSET)
            if value is not UNSET:
                members.append(encode(value))
    except Exception as error:
        names = (name for name, each in tables.by_name.items() if each.variable is variable)
        error.add_note(f"while sending the portable variable {next(names)!r}")
        raise
    if headers is None:
        headers = {}
    if signer is not None and members:
        members.append(_signature(signer, members))
    if len(members) > MAX_MEMBERS:
        _refuse(members)
    if members:
        text = ",".join(members)
        if len(text) > MAX_BYTES:
            _refuse(members)
    elif not foreign:
        _check_headers(headers, setter)
        return headers
    else:
        text = ""
    # Most headers are a new dict.
    if type(headers) is dict and HEADER not in headers and not foreign and setter is None:
        headers[HEADER] = text
        return headers
    if foreign:
        others: Any = foreign
        text = _with_others(text, getattr(others, "foreign", others))
    if text:
        _write(headers, text, setter)
    return headers


def _signature(signer: Signer, members: list[str]) -> str:
    signed = []
    for each in members:
        name, _, rest = each.partition("=")
        value, _, version = rest.partition(";v=")
        signed.append((name, int(version or 1), unquote(value)))
    return f"{SIGNATURE}={quote(signer.sign(signed))}"


def _refuse(members: list[str]) -> None:
    """Raise `ValueError` for members that exceed a limit."""
    longest = max(members, key=len)
    raise ValueError(
        f"the header has {len(members)} members and {len(','.join(members))} bytes, but at most "
        f"{MAX_MEMBERS} and {MAX_BYTES} are allowed: the longest member is that of the portable "
        f"variable {longest.partition('=')[0]!r}, with {len(longest)} bytes"
    )


def _with_others(text: str, others: Iterable[str]) -> str:
    """Return the header with other members behind its own, as far as they fit."""
    members = text.split(",") if text else []
    taken = {_name_of(each) for each in members}
    length = len(text)
    for each in others:
        if len(members) >= MAX_MEMBERS or length + 1 + len(each) > MAX_BYTES:
            break
        if _name_of(each) not in taken:
            members.append(each)
            length += 1 + len(each)
    return ",".join(members)


def _name_of(member: str) -> str:
    return member.partition("=")[0].strip(OWS)


def _check_headers(headers: Any, setter: _Setter | None) -> None:
    """Raise `TypeError` for arguments by which headers cannot be written."""
    if setter is not None:
        check_callable("inject", "setter", setter)
        return
    if not isinstance(headers, list | MutableMapping) and not hasattr(headers, "__setitem__"):
        raise TypeError(
            "inject() argument 'headers' must be a mutable mapping or a list of pairs, got "
            f"{headers!r}; pass a 'setter' for other objects"
        )


def _write(headers: Any, text: str, setter: _Setter | None) -> None:
    """Write the header, with the members that it has already."""
    _check_headers(headers, setter)
    if setter is not None:
        setter(headers, HEADER, text)
        return
    present = [each for value in header_values(headers) for each in within_limits(value)[0]]
    merged = _with_others(text, (each.strip(OWS) for each in present if each.strip(OWS)))
    if isinstance(headers, list):
        is_text = any(isinstance(name, str) for name, _ in headers)
        headers[:] = [pair for pair in headers if not _is_header(pair[0])]
        pair = (HEADER, merged) if is_text else (HEADER.encode(), merged.encode())
        headers.append(pair)
    else:
        name = next((each for each in _names(headers) if _is_header(each)), HEADER)
        headers[name] = merged


def _names(headers: Any) -> Iterable[Any]:
    return headers if isinstance(headers, MutableMapping) else ()


def _is_header(name: Any) -> bool:
    if isinstance(name, bytes):
        return name.lower() == HEADER.encode()
    return isinstance(name, str) and name.lower() == HEADER


public(inject)
