"""A propagator of OpenTelemetry, whose header `baggage` has portable variables as well.

OpenTelemetry's baggage and portable variables share one header. So one propagator reads and writes
it: the last one that writes a header replaces what another one has written.

The members of declared variables are not in OpenTelemetry's baggage. It is sent to all servers, so
these members would get around the levels of their declarations, and around `accept`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from opentelemetry import baggage, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import create_key, get_value, set_value
from opentelemetry.context.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from ctxvars._locks import lasting_lock
from ctxvars._portable import registry
from ctxvars._portable.declaration import RESERVED, Level
from ctxvars._portable.headers.baggage import HEADER, quote
from ctxvars._portable.headers.extract import Accept, Received, another, extract
from ctxvars._portable.headers.inject import inject
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.options import checked_options

_KEY = create_key("ctxvars")
_w3c = W3CBaggagePropagator()


class _Arrived(NamedTuple):
    """What a context of OpenTelemetry has of a header."""

    received: Received
    foreign: dict[str, tuple[object, str]]
    """The members of other programs: the names in OpenTelemetry's baggage, with their values there
    and their texts in the header, which may have properties."""


class BaggagePropagator(TextMapPropagator):
    """Sends and reads portable variables and OpenTelemetry's baggage, in one header.

    It takes the place of `W3CBaggagePropagator`. If a `CompositePropagator` has both, this one has
    to come later: then it replaces the header of the other one by a header with all members. If
    it comes first in the global propagator, it removes the other one from there.

    Args:
        to: where the headers are sent, as for `ctxvars.inject`.
        accept: the variables that the sender may set, as for `ctxvars.extract`.
        signer: signs values, and checks their signatures.
    """

    def __init__(
        self, *, to: Level = "internal", accept: Accept = "internal", signer: Signer | None = None
    ) -> None:
        self._options = checked_options("BaggagePropagator", to, accept, signer)
        self._is_placed = False

    def extract(
        self,
        carrier: Any,
        context: Context | None = None,
        getter: Getter[Any] = default_getter,
    ) -> Context:
        """Return a context with the content of the header.

        Members of other programs are in OpenTelemetry's baggage there, and `received_in` returns
        the values of portable variables. No content of a header raises an exception. A deadline
        that has arrived counts from now on. O(declared variables + length).

        Raises:
            ValueError: a name in `accept` is not declared.
        """
        self._take_place()
        received = self._options.extract(carrier, getter.get)
        # Another propagator may have read the header before.
        for name in baggage.get_all(context):
            if _is_ours(name):
                context = baggage.remove_baggage(name, context)
        foreign: dict[str, tuple[object, str]] = {}
        for text in received.foreign:
            alone = _w3c.extract({HEADER: text}, Context())
            for name, value in baggage.get_all(alone).items():
                # OpenTelemetry decodes names, too.
                if not _is_ours(name):
                    context = baggage.set_baggage(name, value, context)
                    foreign[name] = value, text
        return set_value(_KEY, _Arrived(received, foreign), context)

    def inject(
        self,
        carrier: Any,
        context: Context | None = None,
        setter: Setter[Any] = default_setter,
    ) -> None:
        """Write the current values of portable variables, and the baggage of a context.

        Members that have arrived from other programs are sent as they were, unless their values in
        OpenTelemetry's baggage have changed. Those beyond the limits of the header are left out.
        O(declared variables + length).

        Raises:
            ValueError: the portable variables exceed the limits of a header.

        An exception of an encoder is passed on, with a note that names the variable.
        """
        self._take_place()
        others = list(_foreign_members(context))
        to, _, signer = self._options
        headers: dict[str, str] = inject({}, to=to, signer=signer, foreign=others)
        if headers or baggage.get_all(context):
            # Empty, it replaces that of another propagator.
            setter.set(carrier, HEADER, headers.get(HEADER, ""))

    @property
    def fields(self) -> set[str]:
        """The header that `inject` writes."""
        return {HEADER}

    def _take_place(self) -> None:
        """Remove `W3CBaggagePropagator` from behind this one among the global propagators."""
        if self._is_placed:
            return
        # A `CompositePropagator` that iterates over its list goes on behind this propagator.
        all_of_them = _propagators_of(propagate.get_global_textmap())
        if isinstance(all_of_them, list) and self in all_of_them:
            self._is_placed = True
            for each in all_of_them[all_of_them.index(self) :]:
                if type(each) is W3CBaggagePropagator:
                    all_of_them.remove(each)


def _propagators_of(propagator: TextMapPropagator) -> Any:
    return getattr(propagator, "_propagators", None)


def _is_ours(name: str) -> bool:
    """Whether a member belongs to a declared variable, or is a signature."""
    return name in (registry._tables or registry.tables()).by_name or name.startswith(RESERVED)


def _foreign_members(context: Context | None) -> Iterator[str]:
    """Return the members of OpenTelemetry's baggage that do not belong to declared variables."""
    arrived = get_value(_KEY, context)
    kept = arrived.foreign if isinstance(arrived, _Arrived) else {}
    for name, value in baggage.get_all(context).items():
        if not _is_ours(name):
            as_it_was, text = kept.get(name, (None, ""))
            yield text if text and as_it_was == value else f"{quote_plus(name)}={quote(str(value))}"


def received_in(context: Context | None = None) -> Received:
    """Return the values of portable variables that have arrived with a context of OpenTelemetry.

    Args:
        context: a result of `extract` of a propagator; by default, the current context.

    Returns:
        A context manager that sets the values, as that of `ctxvars.extract`: in the block, a
        declared variable that was not sent has no value. Without a header, none of them has.

    O(declared variables + length).
    """
    arrived = get_value(_KEY, context)
    return another(arrived.received) if isinstance(arrived, _Arrived) else extract({})


_lock = lasting_lock()
_replaced: tuple[TextMapPropagator, TextMapPropagator] | None = None
"""The global propagator before the installation, and the one that was installed."""


def install(
    *, to: Level = "internal", accept: Accept = "internal", signer: Signer | None = None
) -> None:
    """Replace `W3CBaggagePropagator` by a `BaggagePropagator` in the global propagator.

    It comes last. Without a `W3CBaggagePropagator`, it is added. Another call replaces the options.

    Args:
        to: where the headers are sent, as for `ctxvars.inject`.
        accept: the variables that the sender may set, as for `ctxvars.extract`.
        signer: signs values, and checks their signatures.

    Raises:
        ValueError: `to` or `accept` is not a level.
        TypeError: an option is of another type.
    """
    global _replaced
    ours = BaggagePropagator(to=to, accept=accept, signer=signer)
    with _lock:
        current = propagate.get_global_textmap()
        before = _replaced[0] if _replaced and _replaced[1] is current else current
        others = _propagators_of(before) if type(before) is CompositePropagator else [before]
        kept = [
            each
            for each in others
            if type(each) is not W3CBaggagePropagator and not isinstance(each, BaggagePropagator)
        ]
        _replaced = before, CompositePropagator([*kept, ours])
        propagate.set_global_textmap(_replaced[1])


def uninstall() -> None:
    """Undo `install`.

    Raises:
        ValueError: it is not installed, or another global propagator was set since.
    """
    global _replaced
    with _lock:
        if _replaced is None or propagate.get_global_textmap() is not _replaced[1]:
            raise ValueError("ctxvars.integrations.opentelemetry is not installed")
        propagate.set_global_textmap(_replaced[0])
        _replaced = None
