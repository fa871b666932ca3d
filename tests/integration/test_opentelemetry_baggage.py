"""Portable variables and OpenTelemetry's baggage, in one header `baggage`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ctxvars
from ctxvars import ContextVar, portable
from ctxvars._portable.deadlines import current_deadline
from tests.support.new_context import in_a_new_context, in_new_context

baggage: Any = pytest.importorskip(
    "opentelemetry.baggage", reason="opentelemetry-api is not installed for this Python"
)
propagate: Any = pytest.importorskip("opentelemetry.propagate")
composite: Any = pytest.importorskip("opentelemetry.propagators.composite")
context_api: Any = pytest.importorskip("opentelemetry.context")
W3C: Any = pytest.importorskip("opentelemetry.baggage.propagation").W3CBaggagePropagator
TraceContext: Any = pytest.importorskip(
    "opentelemetry.trace.propagation.tracecontext"
).TraceContextTextMapPropagator

from ctxvars.integrations import opentelemetry as integration  # noqa: E402
from ctxvars.integrations.opentelemetry import BaggagePropagator, received_in  # noqa: E402

tenant = portable(ContextVar[str]("tenant", default=""), "tests.otel.tenant")
depth = portable(ContextVar[int]("depth"), "tests.otel.depth", codec=int, version=2)
locale = portable(ContextVar[str]("locale"), "tests.otel.locale", to="public")
Propagators = Callable[[], Any]


@pytest.fixture(autouse=True)
def _global_propagator() -> Iterator[None]:
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)
    integration.propagator._replaced = None


def alone() -> Any:
    return BaggagePropagator()


def behind() -> Any:
    return composite.CompositePropagator([TraceContext(), W3C(), BaggagePropagator()])


def first() -> Any:
    """The global propagator, as OTEL_PROPAGATORS=tracecontext,ctxvars,baggage makes it."""
    made = composite.CompositePropagator([TraceContext(), BaggagePropagator(), W3C()])
    propagate.set_global_textmap(made)
    return made


def installed() -> Any:
    propagate.set_global_textmap(composite.CompositePropagator([W3C(), TraceContext()]))
    integration.install()
    return propagate.get_global_textmap()


ORDERS = pytest.mark.parametrize("make", [alone, behind, first, installed])


def with_baggage(context: Any = None, **entries: object) -> Any:
    context = context or context_api.Context()
    for name, value in entries.items():
        context = baggage.set_baggage(name, value, context)
    return context


def injected(propagator: Any, context: Any = None) -> dict[str, str]:
    headers: dict[str, str] = {}
    propagator.inject(headers, with_baggage(context))
    return headers


def extracted(propagator: Any, *headers: str) -> Any:
    return propagator.extract({"baggage": list(headers)}, context_api.Context())


@ORDERS
@in_a_new_context
def test_members_of_both_are_sent(make: Propagators) -> None:
    propagator = make()
    tenant.set("globex & sons")
    depth.set(3)
    for _ in range(2):
        header = injected(propagator, with_baggage(user="ada lovelace", n=1))["baggage"]
        assert header.split(",") == [
            "tests.otel.tenant=globex%20%26%20sons",
            "tests.otel.depth=3;v=2",
            "user=ada%20lovelace",
            "n=1",
        ]


@ORDERS
@in_a_new_context
def test_members_of_both_are_received(make: Propagators) -> None:
    propagator = make()
    for _ in range(2):
        context = extracted(propagator, "tests.otel.tenant=globex%20%26, user=ada;p=1", "n=a+b")
        assert baggage.get_all(context).keys() == {"user", "n"}
        with received_in(context) as received:
            assert tenant.get() == "globex &"
            assert received.foreign == ("user=ada;p=1", "n=a+b")
        assert tenant.get() == ""


@ORDERS
@in_a_new_context
def test_members_of_other_programs_are_sent_on_as_they_were(make: Propagators) -> None:
    propagator = make()
    header = "user=ada%20lovelace;property=1,n=a+b,%2a=x"
    context = extracted(propagator, header)
    assert injected(propagator, context)["baggage"] == header
    context = baggage.set_baggage("n", "changed, too", context)
    assert injected(propagator, context)["baggage"] == header.replace("a+b", "changed%2C%20too")
    context = baggage.remove_baggage("user", context)
    assert injected(propagator, context)["baggage"] == "n=changed%2C%20too,%2a=x"


@ORDERS
@in_a_new_context
def test_a_declared_variable_is_not_sent_by_the_baggage_of_opentelemetry(
    make: Propagators,
) -> None:
    """A forged or internal value would get around `accept` and `to`."""
    propagator = make()
    context = extracted(propagator, "tests%2Eotel%2Etenant=forged")
    assert baggage.get_all(context) == {}
    entries = {"tests.otel.tenant": "forged", "ctxvars.signature": "x"}
    assert injected(propagator, with_baggage(**entries)) in ({}, {"baggage": ""})
    tenant.set("globex")
    header = injected(propagator, with_baggage(**entries, user="ada"))
    assert header == {"baggage": "tests.otel.tenant=globex,user=ada"}


@ORDERS
@in_a_new_context
def test_without_anything_to_send_there_is_no_header(make: Propagators) -> None:
    assert injected(make()) == {}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50).map(str.strip))
def test_a_value_that_opentelemetry_reads_is_the_value_that_was_sent(text: str) -> None:
    """Python's OpenTelemetry decodes `+` as a space, and strips values."""

    def send() -> dict[str, str]:
        tenant.set(text)
        return injected(alone())

    context = W3C().extract(in_new_context(send), context_api.Context())
    assert baggage.get_baggage("tests.otel.tenant", context) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50).map(str.strip))
def test_baggage_of_opentelemetry_comes_back(text: str) -> None:
    headers = in_new_context(injected, alone(), with_baggage(user=text))
    for propagator in (alone(), W3C()):
        context = propagator.extract(headers, context_api.Context())
        assert baggage.get_baggage("user", context) == text
    W3C().inject(headers, with_baggage(user=text))
    context = alone().extract(headers, context_api.Context())
    assert baggage.get_baggage("user", context) == text


@in_a_new_context
def test_levels_and_names_to_accept() -> None:
    tenant.set("globex")
    locale.set("de")
    public = BaggagePropagator(to="public", accept=["tests.otel.locale"])
    assert injected(public) == {"baggage": "tests.otel.locale=de"}
    context = extracted(public, "tests.otel.locale=fr,tests.otel.tenant=acme")
    with received_in(context) as received:
        assert (locale.get(), tenant.get()) == ("fr", "")
    assert [each.reason for each in received.errors] == ["not accepted"]


@in_a_new_context
def test_signatures() -> None:
    signed = BaggagePropagator(signer=ctxvars.Signer({"key": secrets.token_bytes(32)}))
    tenant.set("globex")
    header = injected(signed, with_baggage(user="ada"))["baggage"]
    context = extracted(signed, header)
    assert baggage.get_all(context) == {"user": "ada"}
    with received_in(context):
        assert tenant.get() == "globex"
    with received_in(extracted(signed, "tests.otel.tenant=forged")):
        assert tenant.get() == ""


@in_a_new_context
def test_values_of_the_current_context_of_opentelemetry() -> None:
    propagate.set_global_textmap(alone())
    token = context_api.attach(propagate.extract({"baggage": "tests.otel.tenant=globex"}))
    try:
        with received_in(), received_in():
            assert tenant.get() == "globex"
            assert propagate.inject(headers := {}) is None
            assert headers == {"baggage": "tests.otel.tenant=globex"}
    finally:
        context_api.detach(token)


@in_a_new_context
def test_without_a_header_no_declared_variable_has_a_value() -> None:
    tenant.set("of the last job")
    for context in (context_api.Context(), alone().extract({}, context_api.Context())):
        with received_in(context) as received:
            assert tenant.get() == ""
            assert not received.values


@in_a_new_context
def test_a_deadline_travels() -> None:
    with ctxvars.deadline(60):
        headers = injected(alone())
    context = extracted(alone(), headers["baggage"])
    with received_in(context):
        remaining = ctxvars.remaining_time()
        assert remaining is not None
        assert 0 < remaining <= 60
    assert ctxvars.remaining_time() is None


@in_a_new_context
def test_a_deadline_counts_from_its_arrival() -> None:
    context = extracted(alone(), "ctxvars.deadline=1000")
    with received_in(context):
        first = current_deadline.get()
    with received_in(context):
        assert current_deadline.get() == first


HOSTILE = [
    "tests.otel.tenant=%ZZ",
    "x" * 1_000_000,
    "a=b," * 100_000,
    "=,;=,%%%,\0\n\ud800",
    "tests.otel.depth=3",
    "tests.otel.tenant=a,tests.otel.tenant=b",
]


@ORDERS
@pytest.mark.parametrize("header", HOSTILE, ids=range(len(HOSTILE)))
@in_a_new_context
def test_a_hostile_header_raises_nothing(make: Propagators, header: str) -> None:
    if make is behind and "\ud800" in header:
        pytest.skip("W3CBaggagePropagator raises UnicodeEncodeError")
    propagator = make()
    context = extracted(propagator, header)
    with received_in(context):
        assert tenant.get() == ""
    injected(propagator, context)


@in_a_new_context
def test_an_encoder_that_raises_names_its_variable() -> None:
    depth.set("no number")  # type: ignore[arg-type]
    with pytest.raises(Exception) as caught:  # noqa: PT011
        injected(alone())
    assert "'tests.otel.depth'" in "".join(caught.value.__notes__)


@in_a_new_context
def test_what_does_not_fit_is_left_out() -> None:
    tenant.set("x" * 8000)
    header = injected(alone(), with_baggage(small="y", large="y" * 1000))["baggage"]
    assert header.endswith("x,small=y")
    tenant.set("x" * 9000)
    with pytest.raises(ValueError, match=r"tests\.otel\.tenant"):
        injected(alone())


def test_carriers_with_getters_and_setters() -> None:
    class Pairs:
        def get(self, carrier: Any, key: str) -> list[str]:
            return [value.decode() for name, value in carrier if name.decode().lower() == key]

        def keys(self, carrier: Any) -> list[str]:
            return [name.decode() for name, _ in carrier]

        def set(self, carrier: Any, key: str, value: str) -> None:
            carrier.append((key.encode(), value.encode()))

    headers: list[tuple[bytes, bytes]] = []
    with tenant.scope("globex"):
        alone().inject(headers, context_api.Context(), setter=Pairs())
    assert headers == [(b"baggage", b"tests.otel.tenant=globex")]
    with received_in(alone().extract(headers, context_api.Context(), getter=Pairs())):
        assert tenant.get() == "globex"
    assert alone().fields == {"baggage"}


def names() -> list[str]:
    return [type(each).__name__ for each in propagate.get_global_textmap()._propagators]


def test_install_and_uninstall() -> None:
    before = composite.CompositePropagator([W3C(), TraceContext()])
    propagate.set_global_textmap(before)
    integration.install()
    assert names() == ["TraceContextTextMapPropagator", "BaggagePropagator"]
    integration.install(to="public")
    assert names() == ["TraceContextTextMapPropagator", "BaggagePropagator"]
    assert injected(propagate.get_global_textmap()) == {}
    with tenant.scope("globex"):
        assert injected(propagate.get_global_textmap()) == {}
        integration.install()
        assert injected(propagate.get_global_textmap()) != {}
    integration.uninstall()
    assert propagate.get_global_textmap() is before
    assert names() == ["W3CBaggagePropagator", "TraceContextTextMapPropagator"]
    with pytest.raises(ValueError, match="is not installed"):
        integration.uninstall()


def test_install_beside_another_propagator() -> None:
    other = TraceContext()
    propagate.set_global_textmap(other)
    integration.install()
    assert names() == ["TraceContextTextMapPropagator", "BaggagePropagator"]
    propagate.set_global_textmap(W3C())
    with pytest.raises(ValueError, match="is not installed"):
        integration.uninstall()
    integration.install()
    assert names() == ["BaggagePropagator"]


def test_wrong_options_are_refused() -> None:
    before = propagate.get_global_textmap()
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"to": "everyone"}, ValueError),
        ({"accept": "everyone"}, ValueError),
        ({"accept": 1}, TypeError),
        ({"signer": b"key"}, TypeError),
    ]
    for options, error in wrong:
        with pytest.raises(error):
            integration.install(**options)
        with pytest.raises(error):
            BaggagePropagator(**options)
    assert propagate.get_global_textmap() is before
