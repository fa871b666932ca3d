"""Signatures: values are taken only if a key of the receiver has signed all of them together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxvars import ContextVar, Signer, extract, inject, portable
from ctxvars._portable.headers.signing import _mac
from tests.portable.jobs import tenant

OLD, NEW = b"o" * 32, b"n" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def signed(signer: Signer, value: str = "globex") -> dict[str, str]:
    with tenant.scope(value):
        return inject(signer=signer)


def received(headers: dict[str, str], signer: Signer) -> str | None:
    with extract(headers, signer=signer) as result:
        value = tenant.get(None)
    assert (value is None) == bool(result.errors)
    assert {each.reason for each in result.errors} <= {"signature", "repeated"}
    return value


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_a_signed_value_is_taken(value: str) -> None:
    signer = Signer({"k": NEW})
    assert received(signed(signer, value), signer) == value


def test_an_unsigned_value_is_dropped() -> None:
    assert received({"baggage": "tests.tenant=globex"}, Signer({"k": NEW})) is None


def test_a_signature_is_not_needed_if_the_receiver_has_no_signer() -> None:
    with extract(signed(Signer({"k": NEW}))) as result:
        assert tenant.get() == "globex"
    assert (result.errors, result.foreign) == ((), ())


@given(st.data())
def test_no_change_of_a_byte_gives_another_value(data: Any) -> None:
    signer = Signer({"k": NEW}, clock=Clock())
    text = signed(signer)["baggage"]
    index = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    forged = text[:index] + character + text[index + 1 :]
    with extract({"baggage": forged}, signer=signer):
        assert tenant.get("globex") == "globex"


def test_a_signature_by_another_key_is_dropped() -> None:
    assert received(signed(Signer({"k": OLD})), Signer({"k": NEW})) is None
    assert received(signed(Signer({"other": NEW})), Signer({"k": NEW})) is None


def test_keys_rotate() -> None:
    before, between = Signer({"old": OLD}), Signer({"old": OLD, "new": NEW})
    after = Signer({"new": NEW, "old": OLD})
    for sender in (before, between, after):
        assert received(signed(sender), between) == "globex"
    assert received(signed(after), before) is None
    assert received(signed(before), Signer({"new": NEW})) is None


def test_a_signature_expires() -> None:
    clock = Clock()
    signer = Signer({"k": NEW}, max_age=60, clock=clock)
    headers = signed(signer)
    clock.now += 60
    assert received(headers, signer) == "globex"
    clock.now += 1
    assert received(headers, signer) is None


@pytest.mark.parametrize(("ahead", "value"), [(30, "globex"), (31, None), (10**6, None)])
def test_the_clock_of_the_sender_may_be_a_little_ahead(ahead: int, value: str | None) -> None:
    sender, receiver = Clock(), Clock()
    sender.now += ahead
    headers = signed(Signer({"k": NEW}, clock=sender))
    assert received(headers, Signer({"k": NEW}, clock=receiver)) == value


def test_values_of_two_requests_cannot_be_mixed() -> None:
    user = portable(ContextVar("user"), "tests.user")
    signer = Signer({"k": NEW}, clock=Clock())
    with user.scope("Ada"):
        first = signed(signer, "acme")["baggage"]
    with user.scope("Eve"):
        second = signed(signer, "globex")["baggage"]
    mixed = second.replace("tests.user=Eve", "tests.user=Ada")
    assert mixed != second
    assert mixed != first
    with extract({"baggage": mixed}, signer=signer) as result:
        assert not tenant.is_set()
        assert not user.is_set()
    assert len(result.errors) == 2


def test_a_value_that_the_signature_does_not_cover_is_dropped() -> None:
    user = portable(ContextVar("user"), "tests.user")
    signer = Signer({"k": NEW})
    headers = {"baggage": signed(signer)["baggage"] + ",tests.user=Eve,other=1"}
    with extract(headers, signer=signer) as result:
        assert tenant.get() == "globex"
        assert not user.is_set()
    assert [each.name for each in result.errors] == ["tests.user"]
    assert result.foreign == ("other=1",)


def test_a_version_is_signed() -> None:
    signer = Signer({"k": NEW})
    variable = portable(ContextVar("user"), "tests.user", version=2, older={1: str})
    with variable.scope("Ada"):
        text = inject(signer=signer)["baggage"]
    assert dict(extract({"baggage": text}, signer=signer).values) == {variable: "Ada"}
    older = text.replace(";v=2", "")
    assert dict(extract({"baggage": older}, signer=signer).values) == {}


def test_another_encoding_of_the_value_has_the_same_signature() -> None:
    signer = Signer({"k": NEW})
    text = signed(signer)["baggage"].replace("globex", "%67lobex").replace("/", "%2F")
    assert received({"baggage": text}, signer) == "globex"


@pytest.mark.parametrize("repeated", [2, 3])
def test_two_signatures_are_no_signature(repeated: int) -> None:
    signer = Signer({"k": NEW})
    text, _, signature = signed(signer)["baggage"].partition(",")
    assert received({"baggage": ",".join([text, *[signature] * repeated])}, signer) is None
    empty = "ctxvars.signature="
    assert received({"baggage": f"{text},{empty},{signature}"}, signer) is None


def test_a_signature_that_lists_a_name_twice_is_no_signature() -> None:
    member = ("tests.tenant", 1, "globex")
    mac = _mac(NEW, "k", "1800000000", [member] * 2)
    header = f"tests.tenant=globex,ctxvars.signature=k/1800000000/{mac}/tests.tenant:tests.tenant"
    assert received({"baggage": header}, Signer({"k": NEW}, clock=Clock())) is None


@pytest.mark.parametrize(
    "signature",
    ["", "/", "k", "k/1", "k/x/y/tests.tenant", "k///", "k/1/é/tests.tenant", "k/" + "9" * 400],
)
def test_a_broken_signature_is_dropped(signature: str) -> None:
    header = f"tests.tenant=globex,ctxvars.signature={signature}"
    with extract({"baggage": header}, signer=Signer({"k": NEW})) as result:
        assert not tenant.is_set()
    assert ("tests.tenant", "signature") in [(it.name, it.reason) for it in result.errors]


def test_secrets_are_not_in_the_representation() -> None:
    assert repr(Signer({"2026": b"very secret bytes"})) == "<ctxvars.Signer with keys 2026>"


WRONG: list[tuple[Any, type[Exception], str]] = [
    ({}, ValueError, "at least one"),
    ({"a/b": NEW}, ValueError, "name of a key"),
    ({"": NEW}, ValueError, "name of a key"),
    ({"k": "text"}, TypeError, "bytes"),
    ({"k": b"short"}, ValueError, "fewer than 16"),
]


@pytest.mark.parametrize(("keys", "error", "message"), WRONG)
def test_unusable_keys_are_refused(keys: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Signer(keys)
