"""Texts for values are short, whatever the methods of the values do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ctxvars.classes._words import error_words, words


class Text(str):
    def __getitem__(self, place: Any) -> str:
        return "other"


class FailingName(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError


def instance(name: str, **methods: Any) -> Any:
    return type(name, (), methods)()


def fail(*arguments: Any) -> Any:
    raise RuntimeError


# Functions make the values, because pytest looks at parameters.
VALUES: dict[str, tuple[Callable[[], Any], str | None]] = {
    "plain": (lambda: instance("Plain"), "<tests.classes.test_words.Plain object>"),
    "failing repr": (
        lambda: instance("Bad", __repr__=fail),
        "<tests.classes.test_words.Bad object>",
    ),
    "endless repr": (lambda: instance("Endless", __repr__=lambda self: repr(self)), None),
    "long repr": (lambda: instance("Long", __repr__=lambda self: "x" * 100_000), "x" * 37 + "..."),
    "subclass of str": (lambda: instance("C", __repr__=lambda self: Text("text")), "text"),
    # `reprlib` chooses its method by the name of the class.
    "name of list": (lambda: instance("list", __repr__=lambda self: "not a list"), "not a list"),
    "failing __class__": (
        lambda: instance("C", __class__=property(fail), __repr__=lambda self: "liar"),
        "liar",
    ),
    "wrong __class__": (
        lambda: instance("C", __class__=type, __repr__=lambda self: "liar"),
        "liar",
    ),
    "failing metaclass": (lambda: FailingName("C", (), {}), None),
    "NUL": (lambda: "a\0b", r"'a\x00b'"),
    "deep": (lambda: [[[[[[[[1]]]]]]]], "[[[[[[[...]]]]]]]"),
}


@pytest.mark.parametrize("name", VALUES)
def test_words(name: str) -> None:
    make, text = VALUES[name]
    found = words(make())
    assert type(found) is str
    assert len(found) <= 60
    if text is not None:
        assert found == text


def test_words_of_an_exception() -> None:
    assert error_words(KeyError("x")) == "KeyError: 'x'"
    failing = type("Failing", (Exception,), {"__str__": fail})
    assert error_words(failing()) == "Failing: <no message: __str__() failed>"
    subclass = type("Subclass", (Exception,), {"__str__": lambda self: Text("text")})
    assert error_words(subclass()) == "Subclass: text"
