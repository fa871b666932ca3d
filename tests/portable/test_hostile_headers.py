"""Headers of an attacker: nothing is raised, nothing leaks, and reading takes linear time."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ctxvars
from ctxvars import CarrierError, ContextVar, Received, extract, portable
from ctxvars._portable import registry
from ctxvars._portable.headers.baggage import MAX_BYTES, MAX_MEMBERS
from ctxvars._portable.headers.extract import Reading, read_plain
from tests.portable.jobs import cart, tenant

GOOD = "tests.tenant=globex"


def reasons(received: Received) -> list[tuple[str, str]]:
    return [(each.name, each.reason) for each in received.errors]


def test_a_header_of_a_megabyte_is_cut_at_the_limit() -> None:
    received = extract({"baggage": f"{GOOD},a=" + "x" * 1_000_000 + ",b=1"})
    assert dict(received.values) == {tenant: "globex"}
    assert received.errors == (CarrierError("", "limit", 2),)
    assert received.foreign == ()


def test_one_member_of_a_megabyte_is_dropped() -> None:
    received = extract({"baggage": "tests.tenant=" + "x" * 1_000_000})
    assert dict(received.values) == {}
    assert received.errors == (CarrierError("", "limit", 1),)


def test_ten_thousand_members_are_cut_at_the_limit() -> None:
    received = extract({"baggage": ",".join([GOOD, *["a=1"] * 10_000])})
    assert dict(received.values) == {tenant: "globex"}
    assert received.errors == (CarrierError("", "limit", 10_001 - MAX_MEMBERS),)
    assert len(received.foreign) == MAX_MEMBERS - 1


def test_the_limits_hold_for_all_repeated_headers_together() -> None:
    half = "a=" + "x" * (MAX_BYTES // 2)
    received = extract([("baggage", half), ("baggage", half), ("baggage", GOOD)])
    assert dict(received.values) == {}
    assert len(received.foreign) == 1
    pairs = [(b"baggage", b"a=1")] * 10_000
    assert len(extract(pairs).foreign) == MAX_MEMBERS


def test_a_header_at_the_limit_is_read() -> None:
    filler = "a=" + "x" * (MAX_BYTES - len(GOOD) - 3)
    header = f"{filler},{GOOD}"
    assert len(header) == MAX_BYTES
    assert dict(extract({"baggage": header}).values) == {tenant: "globex"}
    assert dict(extract({"baggage": header + ","}).values) == {tenant: "globex"}
    assert dict(extract({"baggage": filler + f"x,{GOOD}"}).values) == {}


def test_a_name_with_two_values_is_not_taken() -> None:
    received = extract({"baggage": f"{GOOD},tests.tenant=acme"})
    assert dict(received.values) == {}
    assert reasons(received) == [("tests.tenant", "repeated")]


def test_a_name_repeated_with_one_value_is_taken() -> None:
    assert dict(extract({"baggage": f"{GOOD},{GOOD}"}).values) == {tenant: "globex"}


BROKEN = {
    "an incomplete percent code": "tests.tenant=a%2",
    "a percent code that is not hexadecimal": "tests.tenant=a%zz",
    "NUL": "tests.tenant=a\0b",
    "a line break": "tests.tenant=a\r\nset-cookie: b",
    "a character beyond ASCII": "tests.tenant=ä",
    "a surrogate": "tests.tenant=\ud800",
    "a quote": 'tests.tenant="a"',
    "a backslash": "tests.tenant=a\\b",
    "white space inside": "tests.tenant=a b",
    "no equals sign": "tests.tenant",
    "a property without a name": "tests.tenant=a;=b",
    "an empty property": "tests.tenant=a;",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_malformed_member_is_dropped_and_the_others_are_read(kind: str) -> None:
    received = extract({"baggage": f"{BROKEN[kind]},other=1"})
    assert dict(received.values) == {}
    assert reasons(received) == [("tests.tenant", "syntax")]
    assert received.foreign == ("other=1",)


def test_a_single_name_without_an_equals_sign_is_dropped() -> None:
    received = extract({"baggage": "tests.tenant"})
    assert dict(received.values) == {}
    assert reasons(received) == [("tests.tenant", "syntax")]


def test_bytes_beyond_ascii_are_dropped() -> None:
    received = extract([(b"baggage", b"tests.tenant=\xff\xfe,other=1")])
    assert reasons(received) == [("tests.tenant", "syntax")]


def test_an_encoded_nul_is_a_character_of_the_value() -> None:
    with extract({"baggage": "tests.tenant=a%00b"}):
        assert tenant.get() == "a\0b"


def test_an_undeclared_name_with_illegal_characters_is_an_error() -> None:
    received = extract({"baggage": "a(b)=1,=1,a b=1,ä=1"})
    assert reasons(received) == [("", "syntax")] * 4
    assert received.foreign == ()


def test_names_of_ctxvars_that_are_unknown_are_not_passed_on() -> None:
    received = extract({"baggage": "ctxvars.future=1,ctxvars.signature=a/1/b/"})
    assert received.foreign == ()
    assert received.errors == ()


@pytest.mark.parametrize(
    "text", ["{", "[" * 8000, "NaN,", "%7B%22a%22:", "%5B" * 2000], ids=lambda it: it[:6]
)
def test_a_value_that_cannot_be_decoded_is_dropped(text: str) -> None:
    received = extract({"baggage": f"{GOOD},tests.cart={text},"}, accept="process")
    assert dict(received.values) == {tenant: "globex"}
    assert reasons(received)[0] == ("tests.cart", "value")


@pytest.mark.parametrize("error", [ValueError, KeyError, RecursionError, MemoryError, SystemError])
def test_no_exception_of_a_decoder_reaches_the_request(error: type[Exception]) -> None:
    def decode(text: str) -> str:
        raise error(text)

    portable(ContextVar("user"), "tests.user", codec=(str, decode))
    received = extract({"baggage": f"tests.user=Ada,{GOOD}"})
    assert dict(received.values) == {tenant: "globex"}
    assert reasons(received) == [("tests.user", "value")]


def test_an_interrupt_during_decoding_is_not_swallowed() -> None:
    def decode(text: str) -> str:
        raise KeyboardInterrupt

    portable(ContextVar("user"), "tests.user", codec=(str, decode))
    with pytest.raises(KeyboardInterrupt):
        extract({"baggage": "tests.user=Ada"})


@pytest.mark.parametrize("value", [5, None, {"a": 1}, [1, None], object(), 1.5])
def test_header_values_of_other_types_are_ignored(value: Any) -> None:
    assert dict(extract({"baggage": value}).values) == {}
    assert dict(extract([("baggage", value)]).values) == {}


def test_several_values_under_one_name_are_one_list() -> None:
    assert dict(extract({"baggage": ["a=1", GOOD.encode(), 5]}).values) == {tenant: "globex"}


def test_errors_are_logged_once_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    portable(ContextVar("depth"), "tests.depth", codec=int)
    with caplog.at_level(logging.WARNING, "ctxvars.portable"):
        for _ in range(5):
            extract({"baggage": "tests.depth=secret"})
    assert [record.getMessage() for record in caplog.records] == [
        "dropped the portable variable 'tests.depth': value (logged once; "
        "ctxvars.dropped_members() has the counts)"
    ]
    assert ctxvars.dropped_members()["tests.depth", "value"] == 5


def test_names_of_an_attacker_do_not_grow_the_counts() -> None:
    before = ctxvars.dropped_members().keys()
    for index in range(200):
        extract({"baggage": f"bad name {index}=1,name{index}=1"})
    assert ctxvars.dropped_members().keys() <= before | {("", "syntax")}


headers = st.text(
    st.sampled_from('tests.nacrd=,;%2b \t+v~"\\\0é') | st.characters(), max_size=300
) | st.lists(
    st.sampled_from(
        [GOOD, "tests.tenant=a%20b", "tests.cart=[1]", "tests.cart=[", "a=1;b", "", " ", "v=2", "%"]
    ),
    max_size=80,
).map(",".join)


@given(headers, st.booleans())
@example("tests.tenant=\ud800", False)
def test_no_text_raises_or_leaks(text: str, as_bytes: bool) -> None:
    value = text.encode("utf-8", "surrogatepass") if as_bytes else text
    with tenant.scope("before"), cart.scope(["before"]):
        with extract({"baggage": value}, accept="process") as received:
            assert tenant.get(None) != "before" or "before" in text
            for each in received.foreign:
                assert each.isascii()
                assert each.isprintable()
        assert (tenant.get(), cart.get()) == ("before", ["before"])


@given(st.binary(max_size=500))
def test_no_bytes_raise(data: bytes) -> None:
    with extract([(b"baggage", data)]):
        pass


@given(headers)
def test_the_short_cut_agrees_with_reading_member_by_member(text: str) -> None:
    tables = registry.tables()
    readers = tables.readers["process"]
    values = read_plain(text, readers)
    if values is not None:
        reading = Reading(tables, readers)
        reading.read(text, None)
        assert (reading.values, reading.errors, reading.foreign) == (values, [], [])


def calls_to_read(text: str) -> int:
    """Count the calls of functions, compiled ones included, while a header is read."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        extract({"baggage": text})
    finally:
        sys.setprofile(None)
    return count


SHAPES = {
    "members": "a=1,",
    "commas": ",",
    "semicolons": ";",
    "percent codes": "%20",
    "white space": " ",
    "equals signs": "=",
    "declared members": GOOD + ",",
    "broken members": "tests.tenant,",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_work_does_not_grow_beyond_the_limits(shape: str) -> None:
    unit = SHAPES[shape]
    calls = [
        calls_to_read("tests.tenant=" + unit * (size // len(unit)))
        for size in (2 * MAX_BYTES, 20 * MAX_BYTES, 200 * MAX_BYTES)
    ]
    assert calls[0] >= calls[1] >= calls[2]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_work_is_linear_below_the_limits(shape: str) -> None:
    unit = SHAPES[shape]
    small, large = (
        calls_to_read("tests.tenant=" + unit * (size // len(unit)))
        for size in (MAX_BYTES // 16, MAX_BYTES // 2)
    )
    assert large <= 8 * small + 50
