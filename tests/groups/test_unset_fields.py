"""All tools treat a required field without a value as a missing attribute."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
import rlcompleter
import sys
import traceback
from typing import Any, Protocol, runtime_checkable
from unittest import mock

import pytest

import ctxvars
from ctxvars import UnsetFieldError


class Settings(ctxvars.Group):
    locale: str
    precision: int = 28


@runtime_checkable
class HasLocale(Protocol):
    locale: str


def matched(it: Any) -> str:
    match it:
        case Settings(locale=locale):
            return f"in {locale}"
        case Settings():
            return "without a locale"
    return "something else"


def test_patterns_match_a_field_that_is_set() -> None:
    assert matched(Settings()) == "without a locale"
    with Settings(locale="de"):
        assert matched(Settings()) == "in de"


def test_members_are_listed() -> None:
    for of in (Settings, Settings()):
        members = dict(inspect.getmembers(of))
        assert members["precision"] == 28
        with Settings(locale="de"):
            assert dict(inspect.getmembers(of))["locale"] == "de"
    assert "locale" in pydoc.plain(pydoc.render_doc(Settings))


def test_a_group_is_the_specification_of_a_mock() -> None:
    spec = mock.create_autospec(Settings)
    assert isinstance(spec.precision, mock.NonCallableMock)
    with pytest.raises(AttributeError):
        _ = spec.unknown
    assert mock.Mock(spec=Settings).locale


def test_protocols_look_for_the_attribute() -> None:
    # From 3.12 on, protocols look the attribute up in the class without reading it.
    assert isinstance(Settings(), HasLocale) == (sys.version_info >= (3, 12))
    with Settings(locale="de"):
        assert isinstance(Settings(), HasLocale)


def test_names_are_completed() -> None:
    completer = rlcompleter.Completer({"Settings": Settings})
    found = {completer.complete("Settings.lo", state) for state in range(3)}
    assert any(name and name.startswith("Settings.locale") for name in found)


def test_an_error_of_a_factory_stays_what_it_is() -> None:
    class Broken(ctxvars.Group):
        by_key: Any = ctxvars.group_field(default_factory={}.popitem)
        by_lookup: Any = ctxvars.group_field(
            default_factory=lambda: ctxvars.ContextVar("unset").get()
        )

    for name, error in {"by_key": KeyError, "by_lookup": LookupError}.items():
        with pytest.raises(LookupError) as caught:
            hasattr(Broken, name)
        assert type(caught.value) is error


def test_a_class_may_answer_for_what_is_not_set() -> None:
    class Answering(ctxvars.Group):
        locale: str

        def __getattr__(self, name: str) -> str:
            return f"no {name}"

    assert Answering().locale == "no locale"
    with Answering(locale="de") as answering:
        assert answering.locale == "de"


def test_the_error_is_shown_copied_and_pickled() -> None:
    with pytest.raises(UnsetFieldError) as caught:
        _ = Settings.locale
    message = f"{__name__}.Settings.locale is not set in this context"
    assert traceback.format_exception_only(caught.value)[-1].strip().endswith(message)
    for copied in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert type(copied) is UnsetFieldError
        assert copied.args == (Settings.variables["locale"],)
        assert str(copied) == message
    assert str(UnsetFieldError()) == ""
    assert str(UnsetFieldError("other words")) == "other words"


def test_reading_what_is_not_set_leaks_nothing() -> None:
    variable = Settings.variables["locale"]
    before = sys.getrefcount(variable), sys.getrefcount(UnsetFieldError)
    for _ in range(100):
        assert not hasattr(Settings, "locale")
    assert (sys.getrefcount(variable), sys.getrefcount(UnsetFieldError)) == before
