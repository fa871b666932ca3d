"""`extract`: sets portable variables to the values in headers, for a block.

Headers come from other machines. So nothing here raises an exception because of a header: a member
that cannot be read is dropped, counted, and logged once for each name and reason. Log records have
the name, which is declared in this process, and never the value.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ctxvars._arguments import check_callable
from ctxvars._core import ContextVar, Scope, scope
from ctxvars._locks import lasting_lock
from ctxvars._portable import registry
from ctxvars._portable.declaration import RESERVED, Level
from ctxvars._portable.headers.baggage import (
    MAX_BYTES,
    MAX_MEMBERS,
    OWS,
    is_plain,
    parse_member,
    unquote,
    version_of,
    within_limits,
)
from ctxvars._portable.headers.signing import SIGNATURE, Signer
from ctxvars._portable.headers.values import as_texts, header_values
from ctxvars._public import public

if TYPE_CHECKING:
    from typing import Self

    _Getter = Callable[[Any, str], object]

Accept: TypeAlias = Level | Collection[str | ContextVar[Any]]
Reason: TypeAlias = Literal[
    "limit", "syntax", "repeated", "not accepted", "version", "value", "signature"
]

MAX_SELECTIONS = 64

_logger = logging.getLogger("ctxvars.portable")
_lock = lasting_lock()
_dropped: Counter[tuple[str, str]] = Counter()


@public
class CarrierError(NamedTuple):
    """Something in headers that `extract` has dropped."""

    name: str
    """The name of a declared variable; "" for members without one."""
    # Not `Reason`: tools look annotations up in the public module.
    reason: str
    """Why: "limit" (beyond 64 members or 8192 bytes), "syntax", "repeated" (with other values),
    "not accepted", "version" (one that cannot be read), "value" (refused by the codec or by
    `validate`), or "signature" (the member does not have a valid one)."""
    members: int = 1
    """How many members were dropped."""


@public
class Received:
    """The portable values in headers: a context manager that sets them, made by `extract`.

    It can be entered again after it was left, but not twice at once.
    """

    __slots__ = ("_errors", "_foreign", "_scope", "_values")

    def __init__(
        self,
        values: dict[ContextVar[Any], Any],
        errors: list[CarrierError],
        foreign: list[str],
        scope: Scope,
    ) -> None:
        self._values = values
        self._errors = errors
        self._foreign = foreign
        self._scope = scope

    @property
    def values(self) -> Mapping[ContextVar[Any], Any]:
        """The values, by their variables."""
        return dict(self._values)

    @property
    def errors(self) -> tuple[CarrierError, ...]:
        """Everything that was dropped."""
        return tuple(self._errors)

    @property
    def foreign(self) -> tuple[str, ...]:
        """The members of variables that this process does not declare, for `inject`."""
        return tuple(self._foreign)

    def __enter__(self) -> Self:
        self._scope.__enter__()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self._scope.__exit__(type, value, traceback)

    def __repr__(self) -> str:
        # Without the values, which may be secrets: representations end in logs.
        names = ", ".join(variable.name for variable in self._values)
        return f"<ctxvars.Received {names or 'nothing'}, {len(self._errors)} errors>"


def extract(
    headers: Any,
    /,
    *,
    accept: Accept = "internal",
    clear_missing: bool = True,
    signer: Signer | None = None,
    getter: _Getter | None = None,
) -> Received:
    """Read the values of portable variables from headers; return a context manager that sets them.

    Args:
        headers: a mapping of any kind, an iterable of pairs of `bytes` or `str`, or any object with
            a `getter`. Repeated headers are read as one.
        accept: the variables that the sender may set: their names, or the variables; or a level,
            which accepts all variables that are declared to travel there. At the edge to the
            public, name each variable, or pass "public".
        clear_missing: whether a declared variable that was not received has no value in the block.
            Otherwise it keeps the value of the surrounding context.
        signer: if given, only values with a valid signature are taken.
        getter: called as `getter(headers, "baggage")`; it returns `str`, `bytes`, several of them,
            or `None`.

    Returns:
        A context manager. Its `errors` list what was dropped, and its `foreign` the members to be
        passed on by `inject`.

    Raises:
        TypeError: `headers` is of another type and has no `getter`, or `accept` is of another type.
        ValueError: a name in `accept` is not declared.

    No content of a header raises an exception. Of a header beyond the limits of 64 members and 8192
    bytes, the first members are read. If a name has two different values, neither is taken.
    O(declared variables + length).

    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "acme.tenant.received")
    >>> headers = {"baggage": "acme.tenant.received=globex%20inc, userId=alice"}
    >>> with ctxvars.extract(headers) as received:
    ...     tenant.get(), received.foreign
    ('globex inc', ('userId=alice',))
    >>> tenant.is_set()
    False
    """
    if getter is None:
        texts = header_values(headers)
    else:
        check_callable("extract", "getter", getter)
        texts = as_texts(getter(headers, "baggage"))
    tables = registry._tables or registry.tables()
    if type(accept) is str and accept in tables.readers:
        readers: Mapping[str, registry.Reader] = tables.readers[accept]
    else:
        readers = _selected_readers(tables, accept)
    values: dict[ContextVar[Any], Any] | None = {}
    errors: list[CarrierError] = []
    foreign: list[str] = []
    if texts:
        text = texts[0] if len(texts) == 1 else ",".join(texts)
        values = read_plain(text, readers) if signer is None else None
        if values is None:
            reading = Reading(tables, readers)
            reading.read(text, signer)
            values, errors, foreign = reading.values, reading.errors, reading.foreign
    assert values is not None
    if clear_missing:
        to_set = tables.absent | values
    else:
        to_set = values
        _keep_shorter_deadline(to_set)
    if errors:
        _report(errors)
    return Received(values, errors, foreign, scope(to_set))


def another(received: Received) -> Received:
    """Return another context manager for the values of a header, which may be entered meanwhile.

    A declared variable that was not received has no value in its block.
    """
    tables = registry._tables or registry.tables()
    to_set = scope(tables.absent | received._values)
    return Received(received._values, received._errors, received._foreign, to_set)


def read_plain(
    text: str, readers: Mapping[str, registry.Reader]
) -> dict[ContextVar[Any], Any] | None:
    """Return the values in a header; `None` if there is anything to drop, or anything unusual.

    This is a short cut for the headers that `inject` writes: `Reading` gives the same result.
    """
    if len(text) > MAX_BYTES or not is_plain(text):
        return None
    values = {}
    members = text.split(",")
    has_properties = ";" in text
    try:
        for member in members:
            name, equals, value = member.partition("=")
            reader = readers.get(name)
            if reader is None or not equals:
                return None
            variable, suffix, decode, _ = reader
            if has_properties or suffix:
                if not value.endswith(suffix):
                    return None
                value = value[: len(value) - len(suffix)]
                if ";" in value:
                    return None
            values[variable] = decode(unquote(value) if "%" in value else value)
    except Exception:
        return None
    return values if len(values) == len(members) <= MAX_MEMBERS else None


def _keep_shorter_deadline(values: dict[ContextVar[Any], Any]) -> None:
    """Let a received deadline only shorten that of the surrounding context."""
    from ctxvars._portable.deadlines import current_deadline

    current = current_deadline.get(None)
    if current is not None and current_deadline in values:
        values[current_deadline] = min(current, values[current_deadline])


class Reading:
    """The state of one call of `extract`."""

    __slots__ = ("_raw", "_readers", "_signatures", "_tables", "errors", "foreign", "values")

    def __init__(self, tables: registry.Tables, readers: Mapping[str, registry.Reader]) -> None:
        self._tables = tables
        self._readers = readers
        self._raw: dict[str, tuple[str, int]] = {}
        """The texts and the versions of declared variables."""
        self._signatures: list[str] = []
        self.values: dict[ContextVar[Any], Any] = {}
        self.errors: list[CarrierError] = []
        self.foreign: list[str] = []

    def read(self, text: str, signer: Signer | None) -> None:
        """Read all members of a header."""
        members, dropped = within_limits(text)
        if dropped:
            self._drop("", "limit", dropped)
        repeated: set[str] = set()
        for each in members:
            self._read_member(each, repeated)
        for name in repeated:
            self._drop(name, "repeated")
            del self._raw[name]
        if signer is not None:
            self._keep_signed(signer)
        for name, (value, version) in self._raw.items():
            self._decode(name, value, version)

    def _read_member(self, text: str, repeated: set[str]) -> None:
        declared = self._tables.by_name
        member = parse_member(text)
        if member is None:
            name = text.partition("=")[0].strip(OWS)
            # Lists of HTTP may have empty members.
            if text.strip(OWS):
                self._drop(name if name in declared else "", "syntax")
            return
        name, value, properties = member
        if name == SIGNATURE:
            self._signatures.append(value)
        elif name not in declared:
            if not name.startswith(RESERVED):
                self.foreign.append(text.strip(OWS))
        else:
            try:
                read = unquote(value), version_of(properties)
            except ValueError:
                self._drop(name, "syntax")
                return
            if self._raw.setdefault(name, read) != read:
                repeated.add(name)

    def _keep_signed(self, signer: Signer) -> None:
        """Drop the members that a valid signature does not cover."""
        signed = {name: (name, version, value) for name, (value, version) in self._raw.items()}
        try:
            # Of several signatures, none is valid.
            [signature] = self._signatures
            signature = unquote(signature)
        except ValueError:
            signature = ""
        covered = signer.verify(signature, signed)
        for name in signed.keys() - covered:
            self._drop(name, "signature")
            del self._raw[name]

    def _decode(self, name: str, value: str, version: int) -> None:
        """Decode the value of a variable, if it is accepted."""
        reader = self._readers.get(name)
        if reader is None:
            self._drop(name, "not accepted")
            return
        is_current = version == self._tables.by_name[name].options.version
        decode = reader.decode if is_current else reader.older.get(version)
        if decode is None:
            self._drop(name, "version")
            return
        try:
            self.values[reader.variable] = decode(value)
        except Exception:
            # Of a codec or a check, which may be code of the program.
            self._drop(name, "value")

    def _drop(self, name: str, reason: Reason, count: int = 1) -> None:
        self.errors.append(CarrierError(name, reason, count))


def _selected_readers(tables: registry.Tables, accept: Accept) -> Mapping[str, registry.Reader]:
    if isinstance(accept, str):
        raise ValueError(
            "extract() argument 'accept' must be 'process', 'internal', 'public' or a collection "
            f"of names, got {accept!r}"
        )
    if not isinstance(accept, Iterable):
        raise TypeError(
            f"extract() argument 'accept' must be a level or a collection of names, got {accept!r}"
        )
    accept = frozenset(accept)
    found = tables.selected.get(accept)
    if found is None:
        found = _selected(tables, accept)
        # A program has a few edges. The limit is for one that makes a collection for each request.
        if len(tables.selected) < MAX_SELECTIONS:
            tables.selected[accept] = found
    return found


def _selected(
    tables: registry.Tables, accept: Collection[str | ContextVar[Any]]
) -> dict[str, registry.Reader]:
    selected = {
        name: each
        for name, each in tables.by_name.items()
        if name in accept or each.variable in accept
    }
    known = {each.variable for each in selected.values()} | selected.keys()
    for each in accept:
        if each not in known:
            raise ValueError(f"extract() cannot accept {each!r}: it is not a portable variable")
    return {name: registry.reader_of(each) for name, each in selected.items()}


def _report(errors: list[CarrierError]) -> None:
    """Count what was dropped, and log each name and reason when it is first counted."""
    for name, reason, count in errors:
        key = (name, reason)
        with _lock:
            is_new = key not in _dropped
            _dropped[key] += count
        if is_new:
            what = f"the portable variable {name!r}" if name else "a member of a header"
            _logger.warning(
                "dropped %s: %s (logged once; ctxvars.dropped_members() has the counts)",
                what,
                reason,
            )


def dropped_members() -> dict[tuple[str, str], int]:
    """Return how many members of headers `extract` has dropped, by name and reason.

    The name is "" for members that do not belong to a declared variable, so the number of keys is
    bounded. The reasons are those of `CarrierError`. Counts begin with the process. O(keys).

    >>> import ctxvars
    >>> received = ctxvars.extract({"baggage": "no equals sign"})
    >>> ctxvars.dropped_members()["", "syntax"] >= 1
    True
    """
    with _lock:
        return dict(_dropped)


public(extract)
public(dropped_members)
