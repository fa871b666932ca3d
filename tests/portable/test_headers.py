"""Headers: what is injected is extracted, into and from any kind of object."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ctxvars
from ctxvars import MISSING, ContextVar, extract, inject, portable
from ctxvars._portable.headers.baggage import MAX_BYTES, MAX_MEMBERS, parse_member
from tests.portable.jobs import cart, tenant


@pytest.fixture(scope="module")
def variables() -> dict[str, ContextVar[Any]]:
    return {"tests.tenant": tenant}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(texts)
def test_any_text_comes_back(text: str) -> None:
    with tenant.scope(text):
        headers = inject()
    assert headers["baggage"].isascii()
    with extract(headers) as received:
        assert tenant.get() == text
    assert received.errors == ()
    assert not tenant.is_set()


def test_space_and_plus_are_percent_encoded() -> None:
    with tenant.scope("a b+c%"):
        assert inject() == {"baggage": "tests.tenant=a%20b%2Bc%25"}


def test_a_bare_plus_is_literal() -> None:
    with extract({"baggage": "tests.tenant=a+b"}):
        assert tenant.get() == "a+b"


def test_octets_that_are_not_utf_8_become_replacement_characters() -> None:
    with extract({"baggage": "tests.tenant=a%FFb"}):
        assert tenant.get() == "a\ufffdb"


def test_white_space_around_all_parts_is_dropped() -> None:
    with extract({"baggage": " other =1 ,\ttests.tenant \t= \tglobex ; v = 1 , "}) as received:
        assert tenant.get() == "globex"
    assert received.foreign == ("other =1",)
    assert received.errors == ()


def test_an_equals_sign_in_a_value_belongs_to_the_value() -> None:
    with extract({"baggage": "tests.tenant=a=b="}):
        assert tenant.get() == "a=b="


class Getter:
    """Not a mapping."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def set(self, name: str, value: str) -> None:
        self.calls.append((name, value))


CARRIERS: dict[str, Any] = {
    "a dict": {"Host": "example"},
    "a dict with another case": {"Baggage": ""},
    "pairs of bytes": [(b"host", b"example")],
    "pairs of text": [("host", "example")],
    "no pairs": [],
    "a message of email": Message(),
    "nothing": None,
}


@pytest.mark.parametrize("kind", CARRIERS)
def test_what_is_injected_is_extracted(kind: str) -> None:
    with tenant.scope("globex"):
        headers = inject(CARRIERS[kind])
    with extract(headers):
        assert tenant.get() == "globex"


@pytest.mark.parametrize("package", ["httpx", "starlette"])
def test_headers_of_packages_are_read_and_written(package: str) -> None:
    pytest.importorskip(package)
    headers: Any
    if package == "httpx":
        import httpx

        headers = httpx.Headers({"host": "a"})
    else:
        from starlette.datastructures import MutableHeaders

        headers = MutableHeaders({"host": "a"})
    with tenant.scope("globex"):
        inject(headers)
    with extract(headers):
        assert tenant.get() == "globex"


def test_a_setter_and_a_getter_serve_any_object() -> None:
    carrier = Getter()
    with tenant.scope("globex"):
        assert inject(carrier, setter=Getter.set) is carrier
    with extract(carrier, getter=lambda it, name: [v for k, v in it.calls if k == name]):
        assert tenant.get() == "globex"


def test_other_objects_are_refused() -> None:
    with tenant.scope("globex"), pytest.raises(TypeError, match="pass a 'setter'"):
        inject(5)
    with pytest.raises(TypeError, match="pass a 'getter'"):
        extract(5)


def test_without_values_headers_stay_as_they_are() -> None:
    for headers in ({}, {"baggage": "a=1"}, []):
        before = str(headers)
        assert inject(headers) is headers
        assert str(headers) == before


def test_defaults_are_not_sent() -> None:
    portable(ContextVar("user", default="nobody"), "tests.user")
    assert inject() == {}


def test_members_of_others_stay() -> None:
    with tenant.scope("globex"):
        assert inject({"baggage": "a=1, tests.tenant=old,b=2;p"}) == {
            "baggage": "tests.tenant=globex,a=1,b=2;p"
        }


def test_foreign_members_are_passed_on() -> None:
    with extract({"baggage": "a=1;p=%20,tests.tenant=globex"}) as received:
        assert inject(foreign=received) == {"baggage": "tests.tenant=globex,a=1;p=%20"}
        assert inject(foreign=received.foreign) == inject(foreign=received)
    assert inject(foreign=received) == {"baggage": "a=1;p=%20"}


def test_foreign_members_that_do_not_fit_are_left_out() -> None:
    others = ["a=" + "x" * 4000, "b=" + "y" * 4000, "c=" + "z" * 4000]
    with tenant.scope("globex"):
        sent = inject(foreign=others)["baggage"]
    assert sent == f"tests.tenant=globex,{others[0]},{others[1]}"


def test_repeated_headers_are_one_list() -> None:
    pairs = [(b"baggage", b"a=1"), (b"Baggage", b"tests.tenant=globex")]
    with extract(pairs) as received:
        assert tenant.get() == "globex"
    assert received.foreign == ("a=1",)


def test_levels_decide_what_is_sent() -> None:
    near = portable(ContextVar("near"), "tests.near", to="process")
    far = portable(ContextVar("far"), "tests.far", to="public")
    with near.scope("n"), far.scope("f"), tenant.scope("t"):
        assert inject(to="process")["baggage"] == "tests.tenant=t,tests.near=n,tests.far=f"
        assert inject()["baggage"] == "tests.tenant=t,tests.far=f"
        assert inject(to="public")["baggage"] == "tests.far=f"


def test_levels_decide_what_is_accepted() -> None:
    portable(ContextVar("near"), "tests.near", to="process")
    portable(ContextVar("far"), "tests.far", to="public")
    headers = {"baggage": "tests.near=n,tests.tenant=t,tests.far=f"}

    def accepted(accept: Any) -> list[str]:
        return sorted(variable.name for variable in extract(headers, accept=accept).values)

    assert accepted("process") == ["far", "near", "tenant"]
    assert accepted("internal") == ["far", "tenant"]
    assert accepted("public") == ["far"]
    assert accepted(["tests.near"]) == ["near"]
    assert accepted({tenant}) == ["tenant"]
    assert accepted(()) == []


def test_what_is_not_accepted_is_neither_set_nor_passed_on() -> None:
    with extract({"baggage": "tests.tenant=t"}, accept=()) as received:
        assert not tenant.is_set()
    assert received.foreign == ()
    assert received.errors == (ctxvars.CarrierError("tests.tenant", "not accepted"),)


def test_an_unknown_name_cannot_be_accepted() -> None:
    unknown: Any = 5
    for accept in (["tests.unknown"], "everything"):
        with pytest.raises(ValueError, match="accept"):
            extract({}, accept=accept)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'accept' must be"):
        extract({}, accept=unknown)


def test_missing_values_are_cleared() -> None:
    with tenant.scope("acme"), cart.scope([]):
        with extract({}):
            assert not tenant.is_set()
            assert not cart.is_set()
        with extract({}, clear_missing=False):
            assert tenant.get() == "acme"
        assert tenant.get() == "acme"


def test_the_scope_can_be_entered_again() -> None:
    received = extract({"baggage": "tests.tenant=globex"})
    for _ in range(2):
        with received:
            assert tenant.get() == "globex"
        assert not tenant.is_set()


def test_representations_do_not_show_values() -> None:
    assert "secret" not in repr(extract({"baggage": "tests.tenant=secret"}))


def versioned(version: int, **options: Any) -> ContextVar[Any]:
    return portable(ContextVar("depth"), "tests.depth", codec=int, version=version, **options)


def test_the_version_is_sent_and_read() -> None:
    depth = versioned(2)
    with depth.scope(5):
        headers = inject()
    assert headers == {"baggage": "tests.depth=5;v=2"}
    with extract(headers):
        assert depth.get() == 5


def test_older_versions_are_read_by_their_decoders() -> None:
    depth = versioned(3, older={1: len, 2: (str, lambda text: int(text, 16))})
    for header, value in [("abc", 3), ("ff;v=2", 255), ("7;v=3", 7), ("7;p;v=3;q", 7)]:
        with extract({"baggage": f"tests.depth={header}"}):
            assert depth.get() == value


@pytest.mark.parametrize("version", ["1", "3", "99999", "0", "x", "-1", "", "2;v=2", "²"])
def test_other_versions_are_dropped(version: str) -> None:
    depth = versioned(2)
    with extract({"baggage": f"tests.depth=5;v={version}"}) as received:
        assert not depth.is_set()
    assert [it.reason for it in received.errors] in (["version"], ["syntax"])


def test_a_text_over_the_limit_is_refused_with_its_name() -> None:
    with tenant.scope("x" * MAX_BYTES), pytest.raises(ValueError, match=r"'tests\.tenant', with"):
        inject()
    longest = MAX_BYTES - len("tests.tenant=")
    with tenant.scope("x" * longest):
        headers = inject()
    with extract(headers):
        assert len(tenant.get()) == longest


def test_too_many_members_are_refused() -> None:
    many = [portable(ContextVar(f"v{i}"), f"tests.v{i}") for i in range(MAX_MEMBERS + 1)]
    with ctxvars.scope(dict.fromkeys(many[1:], "x")):
        headers = inject()
        assert headers["baggage"].count(",") == MAX_MEMBERS - 1
        assert len(extract(headers).values) == MAX_MEMBERS
        with many[0].scope("x"), pytest.raises(ValueError, match="65 members"):
            inject()


def test_an_encoder_that_raises_names_the_variable() -> None:
    wrong: Any = 5
    with tenant.scope(wrong), pytest.raises(TypeError) as raised:
        inject()
    assert raised.value.__notes__ == ["while sending the portable variable 'tests.tenant'"]


def test_surrogates_are_not_sent() -> None:
    with tenant.scope("\ud800"), pytest.raises(UnicodeEncodeError):
        inject()


class OwnMapping(Mapping[str, str]):
    def __getitem__(self, name: str) -> str:
        return {"BAGGAGE": "tests.tenant=globex"}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(["BAGGAGE"])

    def __len__(self) -> int:
        return 1


def test_any_case_of_the_name_is_found_in_any_mapping() -> None:
    with extract(OwnMapping()):
        assert tenant.get() == "globex"


@given(st.text(st.sampled_from('a=;,% \t"v2é\\'), max_size=20))
def test_members_are_those_of_the_grammar(text: str) -> None:
    import re

    token, octets = r"[\w!#$%&'*+.^`|~-]+", r"[!#-+\--:<-\[\]-~]*"
    ows = r"[ \t]*"
    of_property = rf"{ows}{token}{ows}(={ows}{octets}{ows})?"
    grammar = rf"(?a:{ows}{token}{ows}={ows}{octets}{ows}(;{of_property})*)"
    assert (parse_member(text) is not None) == bool(re.fullmatch(grammar, text))


CHILD = """
import ctxvars
from tests.portable.jobs import tenant, cart
with ctxvars.extract_environment():
    print(tenant.get(), cart.get())
"""


def test_a_subprocess_reads_the_environment() -> None:
    with tenant.scope("globex & co"), cart.scope(["tea"]):
        environment = ctxvars.environment_with()
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "globex & co ['tea']\n"


def test_the_environment_is_a_copy_without_an_inherited_value() -> None:
    before = dict(os.environ)
    assert ctxvars.environment_with({"BAGGAGE": "tests.tenant=old", "A": "1"}) == {"A": "1"}
    with tenant.scope("globex"):
        ctxvars.environment_with()
    assert dict(os.environ) == before


@pytest.mark.parametrize("value", [MISSING, "globex"], ids=["without a value", "with a value"])
def test_headers_of_another_type_are_refused_whatever_is_sent(value: Any) -> None:
    with tenant.scope(value):
        with pytest.raises(TypeError, match="'headers' must be a mutable mapping or"):
            inject(3)
        with pytest.raises(TypeError, match="'setter'"):
            inject({}, setter=3)  # type: ignore[call-overload]
