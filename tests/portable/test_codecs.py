"""Codecs: each value comes back as it was, and text that no encoder writes is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import Any, Optional
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxvars._portable.codecs import codec_of
from ctxvars._portable.headers.baggage import quote, unquote


class Colour(Enum):
    RED = "r"
    GRÜN = "g"


class Size(IntEnum):
    SMALL = 1


class Right(Flag):
    READ = 1
    WRITE = 2


def name_of(parameter: object) -> str:
    """The name of a parameter in names of tests, without addresses: workers compare these."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(parameter))[:60]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=5,
)
# UTF-8 cannot encode surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]))
# Not `st.timezones()`: a time that a zone skips or repeats differs from the time that comes back.
offsets = st.integers(-1439, 1439).map(lambda it: timezone(timedelta(minutes=it)))
CASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, texts),
    (int, st.integers()),
    (bool, st.booleans()),
    (float, st.floats(allow_nan=False)),
    (bytes, st.binary()),
    (UUID, st.uuids()),
    (datetime, st.datetimes(timezones=st.none() | offsets)),
    (date, st.dates()),
    (Decimal, st.decimals(allow_nan=False)),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Right, st.sampled_from([*Right, Right.READ | Right.WRITE])),
    (str | None, st.none() | texts | texts.map("~".__add__)),
    (Optional[int], st.none() | st.integers()),  # noqa: UP045
    ("json", json_values),
    ((hex, lambda text: int(text, 16)), st.integers()),
]


@pytest.mark.parametrize(("kind", "values"), CASES, ids=[name_of(kind) for kind, _ in CASES])
def test_a_value_comes_back(kind: Any, values: st.SearchStrategy[Any]) -> None:
    encode, decode = codec_of(kind)

    @given(values)
    def check(value: Any) -> None:
        back = decode(unquote(quote(encode(value))))
        assert back == value
        assert type(back) is type(value)

    check()


def test_nan_comes_back() -> None:
    for kind in (float, Decimal):
        encode, decode = codec_of(kind)
        assert math.isnan(decode(encode(kind("nan"))))


REFUSED: list[tuple[Any, str]] = [
    *((int, text) for text in ("", "+1", " 1", "1_0", "\u0661", "1.0", "0x1", "1\n")),
    *((bool, text) for text in ("", "1", "True", "yes")),
    *((float, text) for text in ("", "1_0", " 1", "Infinity", "1e", "\u0663")),
    *((bytes, text) for text in ("a", "a+b=", "ä")),
    *((UUID, text) for text in ("", "{" + "0" * 32 + "}", "0" * 32, "urn:uuid:" + "0" * 32)),
    *((datetime, text) for text in ("", "2026-01-01", "20260101", "now")),
    *((date, text) for text in ("", "2026-01-01T00:00", "20260101", "2026-13-01")),
    *((Decimal, text) for text in ("", "1_0", " 1", "\u0661", "inf")),
    *((Colour, text) for text in ("", "r", "__class__", "BLUE")),
    *((Right, text) for text in ("", "READ", "99")),
    *((int | None, text) for text in ("", "~5", "None")),
    (str | None, "~x"),
    *(("json", text) for text in ("", "{", "[" * 100_000)),
]


@pytest.mark.parametrize(("kind", "text"), REFUSED, ids=name_of)
def test_other_text_is_refused(kind: Any, text: str) -> None:
    with pytest.raises((ValueError, KeyError, RecursionError)):
        codec_of(kind)[1](text)


WRONG: list[tuple[Any, Any]] = [
    (str, 5),
    (str, None),
    (int, "5"),
    (bool, 1),
    (float, "1"),
    (float, True),
    (bytes, "a"),
    (UUID, "a"),
    (datetime, date(2026, 1, 1)),
    (date, datetime(2026, 1, 1)),
    (Decimal, 1),
    (Colour, "r"),
    (Right, 1),
    (int | None, "5"),
    ("json", object()),
]


@pytest.mark.parametrize(("kind", "value"), WRONG, ids=name_of)
def test_a_value_of_another_type_is_not_sent(kind: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        codec_of(kind)[0](value)


def test_types_of_pydantic_are_codecs() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Cart(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        items: list[str]

    encode, decode = codec_of(Cart)
    assert decode(encode(Cart(items=["tea"]))) == Cart(items=["tea"])
    with pytest.raises(ValueError, match="items"):
        decode("{}")


@pytest.mark.parametrize("package", ["msgspec", "pydantic"])
def test_annotations_are_codecs(package: str) -> None:
    pytest.importorskip(package)
    encode, decode = codec_of(dict[str, list[int]])
    assert decode(encode({"a": [1]})) == {"a": [1]}
    with pytest.raises(ValueError, match="int"):
        decode('{"a": ["x"]}')


def test_without_these_packages_the_message_has_the_alternatives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    for package in ("msgspec", "pydantic"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TypeError, match=r"there is no codec for list\[int\]: pass a type such as"):
        codec_of(list[int])


def test_a_pair_needs_two_functions() -> None:
    pair: tuple[Callable[[Any], str], int] = (str, 5)
    with pytest.raises(TypeError, match="'decode' must be callable"):
        codec_of(pair)
