"""`extract`: sets portable variables to the values in headers, for a block.

Headers come from other machines. So nothing here raises an exception because of a header: a member
that cannot be read is dropped, counted, and logged once for each name and reason. Log records have
the name, which is declared in this process, and never the value.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ctxvars._arguments import check_callable
from ctxvars._core import ContextVar, Scope, scope
from ctxvars._locks import lasting_lock
from ctxvars._portable import registry
from ctxvars._portable.declaration import LEVELS, RESERVED, Level
from ctxvars._portable.headers.baggage import (
    MAX_BYTES,
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

    Getter = Callable[[Any, str], object]

Accept: TypeAlias = Level | Collection[str | ContextVar[Any]]
Reason: TypeAlias = Literal[
    "limit", "syntax", "repeated", "not accepted", "version", "value", "signature"
]

_logger = logging.getLogger("ctxvars.portable")
_lock = lasting_lock()
_dropped: Counter[tuple[str, Reason]] = Counter()


@public
class CarrierError(NamedTuple):
    """Something in headers that `extract` has dropped."""

    name: str
    """The name of a declared variable; "" for members without one."""
    reason: Reason
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
    getter: Getter | None = None,
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
        TypeError: `headers` is of another type, and there is no `getter`; or `accept` is.
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
    accepted = _accepted(tables, accept)
    reading = Reading(tables, accepted)
    if texts:
        reading.read(_joined(texts))
        if signer is not None:
            reading.keep_signed(signer)
    values = reading.values
    if clear_missing:
        to_set = {**tables.absent, **values}
    else:
        to_set = values
        _keep_shorter_deadline(to_set)
    if reading.errors:
        _report(reading.errors)
    return Received(values, reading.errors, reading.foreign, scope(to_set))


def _joined(texts: list[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    return ",".join(texts)


def _keep_shorter_deadline(values: dict[ContextVar[Any], Any]) -> None:
    """Let a received deadline only shorten that of the surrounding context."""
    from ctxvars._portable.deadlines import current_deadline

    current = current_deadline.get(None)
    if current is not None and current_deadline in values:
        values[current_deadline] = min(current, values[current_deadline])


class Reading:
    """The state of one call of `extract`."""

    __slots__ = ("_accepted", "_raw", "_tables", "errors", "foreign", "signature", "values")

    def __init__(self, tables: registry.Tables, accepted: Mapping[str, registry.Declared]) -> None:
        self._tables = tables
        self._accepted = accepted
        self._raw: dict[str, tuple[str, int]] = {}
        """The percent-encoded values and the versions of declared variables."""
        self.values: dict[ContextVar[Any], Any] = {}
        self.errors: list[CarrierError] = []
        self.foreign: list[str] = []
        self.signature = ""

    def read(self, text: str) -> None:
        """Read all members of a header."""
        members, dropped = within_limits(text)
        if dropped:
            self._drop("", "limit", dropped)
            text = text[:MAX_BYTES]
        # In a plain header, names and values need no further checks.
        plain = is_plain(text)
        declared = self._tables.by_name
        raw = self._raw
        repeated = set()
        for each in members:
            version = 1
            if plain and ";" not in each:
                name, equals, value = each.partition("=")
                if name not in declared and (not equals or parse_member(each) is None):
                    if each:
                        self._drop("", "syntax")
                    continue
                if not equals:
                    self._drop(name, "syntax")
                    continue
            else:
                member = parse_member(each)
                if member is None:
                    self._drop_malformed(each)
                    continue
                name, value, properties = member
                version = version_of(properties)
            if name not in declared:
                if not name.startswith(RESERVED):
                    self.foreign.append(each.strip(OWS))
                elif name == SIGNATURE:
                    # A second signature makes the first one invalid, too.
                    self.signature = "" if self.signature else value
                continue
            if raw.setdefault(name, (value, version)) != (value, version):
                repeated.add(name)
        for name in repeated:
            self._drop(name, "repeated")
            del raw[name]
        self._decode()

    def _decode(self) -> None:
        """Decode the values of the accepted variables."""
        accepted = self._accepted
        for name, (value, version) in self._raw.items():
            declared = accepted.get(name)
            if declared is None:
                self._drop(name, "not accepted")
                continue
            options = declared.options
            if version == options.version:
                decode = options.decode
            else:
                older = options.decode_older.get(version)
                if older is None:
                    self._drop(name, "version")
                    continue
                decode = older
            try:
                decoded = decode(unquote(value) if "%" in value else value)
                if declared.check is not None:
                    declared.check(decoded)
            except Exception:
                self._drop(name, "value")
            else:
                self.values[declared.variable] = decoded

    def keep_signed(self, signer: Signer) -> None:
        """Drop the values that are not covered by a valid signature."""
        signed = {}
        for name, (value, version) in self._raw.items():
            try:
                signed[name] = (name, version, unquote(value))
            except ValueError:
                continue
        try:
            signature = unquote(self.signature)
        except ValueError:
            signature = ""
        covered = signer.verify(signature, signed) if signature else frozenset()
        for declared in self._accepted.values():
            name = declared.options.name
            if name not in covered and self.values.pop(declared.variable, _NOTHING) is not _NOTHING:
                self._drop(name, "signature")

    def _drop(self, name: str, reason: Reason, count: int = 1) -> None:
        self.errors.append(CarrierError(name, reason, count))

    def _drop_malformed(self, member: str) -> None:
        name = member.partition("=")[0].strip(OWS)
        # Lists of HTTP may have empty members.
        if member.strip(OWS):
            self._drop(name if name in self._tables.by_name else "", "syntax")


_NOTHING = object()


def _accepted(tables: registry.Tables, accept: Accept) -> Mapping[str, registry.Declared]:
    if isinstance(accept, str):
        if accept not in LEVELS:
            raise ValueError(
                "extract() argument 'accept' must be 'process', 'internal', 'public' or a "
                f"collection of names, got {accept!r}"
            )
        return tables.accepted[accept]
    if not isinstance(accept, Iterable):
        raise TypeError(
            f"extract() argument 'accept' must be a level or a collection of names, got {accept!r}"
        )
    return _selected(tables, frozenset(accept))


@lru_cache(maxsize=64)
def _selected(
    tables: registry.Tables, accept: frozenset[str | ContextVar[Any]]
) -> Mapping[str, registry.Declared]:
    selected = {
        name: each
        for name, each in tables.by_name.items()
        if name in accept or each.variable in accept
    }
    known = {each.variable for each in selected.values()} | selected.keys()
    for each in accept:
        if each not in known:
            raise ValueError(f"extract() cannot accept {each!r}: it is not a portable variable")
    return selected


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


def dropped_members() -> dict[tuple[str, Reason], int]:
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
