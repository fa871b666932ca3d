"""Patching a field of a group, as tests do, restores the exact old state."""

from __future__ import annotations

import copy
import inspect
import pydoc
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

import ctxvars
from ctxvars import _core
from ctxvars._groups.namespace import class_dict
from tests.support.groups import positive, unset_afterwards


class Settings(ctxvars.Group):
    precision: int = 28
    locale: str
    tags: list[str] = ctxvars.group_field(default_factory=list)
    digits: int = ctxvars.group_field(default=6, validate=positive)

    LIMIT = 10

    def doubled(self) -> int:
        return self.precision * 2

    @staticmethod
    def helper() -> str:
        return "helper"


class Derived(Settings):
    extra: int = 0


class Redeclared(Settings):
    precision: int = 50


NEW: dict[str, Any] = {"precision": 6, "locale": "de", "tags": ["new"], "digits": 3, "extra": 1}
SET: dict[str, Any] = {"precision": 7, "locale": "fr", "tags": ["set"], "digits": 4, "extra": 2}


@pytest.fixture(autouse=True)
def _own_values() -> Iterator[None]:
    yield from unset_afterwards({*Derived.variables.values(), *Redeclared.variables.values()})


def by_mock(group: Any, name: str, value: object, body: Callable[[], None]) -> None:
    with mock.patch.object(group, name, value):
        body()


def by_path(group: Any, name: str, value: object, body: Callable[[], None]) -> None:
    with mock.patch(f"{__name__}.{group.__name__}.{name}", value):
        body()


def by_patch_multiple(group: Any, name: str, value: object, body: Callable[[], None]) -> None:
    with mock.patch.multiple(group, **{name: value}):
        body()


def by_start_and_stop(group: Any, name: str, value: object, body: Callable[[], None]) -> None:
    patcher = mock.patch.object(group, name, value)
    patcher.start()
    try:
        body()
    finally:
        patcher.stop()


def by_monkeypatch(group: Any, name: str, value: object, body: Callable[[], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # A field that cannot be read is a missing attribute to it.
        patch.setattr(group, name, value, raising=False)
        body()


PATCHES = [by_mock, by_path, by_patch_multiple, by_start_and_stop, by_monkeypatch]
Patch = Callable[[Any, str, object, Callable[[], None]], None]


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("is_set", [True, False], ids=["set", "not set"])
@pytest.mark.parametrize("group", [Settings, Derived, Redeclared], ids=lambda it: it.__name__)
@pytest.mark.parametrize("patch", PATCHES, ids=lambda it: it.__name__)
def test_a_patched_field_is_restored(patch: Patch, group: Any, is_set: bool, name: str) -> None:
    variable = group.variables.get(name)
    if variable is None:
        pytest.skip("the group has no such field")
    if is_set:
        variable.set(SET[name])
    before = ctxvars.copy_context().bindings

    def body() -> None:
        assert getattr(group, name) == variable.get() == NEW[name]
        setattr(group, name, SET[name])

    patch(group, name, NEW[name], body)
    assert ctxvars.copy_context().bindings == before
    assert variable.is_set() == is_set
    assert not is_set or variable.get() is SET[name]
    if name in vars(group):
        assert type(class_dict(group)[name]) is _core.VariableDescriptor


@pytest.mark.parametrize("patch", PATCHES, ids=lambda it: it.__name__)
def test_nested_patches_restore_one_after_the_other(patch: Patch) -> None:
    Settings.precision = 1

    def inner() -> None:
        assert Settings.precision == 3

    def outer() -> None:
        assert Settings.precision == 2
        patch(Derived, "precision", 3, inner)
        assert Settings.precision == 2

    patch(Settings, "precision", 2, outer)
    assert Settings.precision == 1


@pytest.mark.parametrize("patch", PATCHES, ids=lambda it: it.__name__)
def test_a_patch_restores_what_no_validation_would_take(patch: Patch) -> None:
    Settings.variables["digits"].set(-1)
    patch(Settings, "digits", 3, lambda: None)
    assert Settings.digits == -1


@pytest.mark.parametrize("patch", PATCHES, ids=lambda it: it.__name__)
def test_a_refused_value_is_not_patched(patch: Patch) -> None:
    Settings.digits = 3
    with pytest.raises(ValueError, match="-1 is not positive"):
        patch(Settings, "digits", -1, lambda: None)
    assert Settings.digits == 3


@pytest.mark.parametrize("patch", PATCHES, ids=lambda it: it.__name__)
@pytest.mark.parametrize("name", ["LIMIT", "doubled", "helper"])
def test_attributes_that_are_not_fields_are_patched_as_in_any_class(
    patch: Patch, name: str
) -> None:
    before = vars(Settings)[name]
    patch(Settings, name, 5, lambda: None)
    assert vars(Settings)[name] is before
    patch(Derived, name, 5, lambda: None)
    assert name not in vars(Derived)


def test_a_patch_raises_what_the_body_does_and_restores() -> None:
    with pytest.raises(ZeroDivisionError), mock.patch.object(Derived, "precision", 0):
        _ = 1 / Settings.precision
    assert not Settings.variables["precision"].is_set()


def test_a_patch_is_for_its_context() -> None:
    with mock.patch.object(Settings, "precision", 6):
        assert ctxvars.Context().run(lambda: Settings.precision) == 28
        assert ctxvars.copy_context().run(lambda: Settings.precision) == 6


@pytest.mark.parametrize("name", NEW)
def test_mocks_and_autospecs_replace_a_field(name: str) -> None:
    for keywords in ({}, {"autospec": True}, {"create": True}, {"new_callable": mock.Mock}):
        if name == "digits":
            continue  # A mock is not positive.
        with mock.patch.object(Derived, name, **keywords) as replaced:
            assert getattr(Derived, name) is replaced
        assert not Derived.variables[name].is_set()


def test_deleting_a_field_is_patched() -> None:
    Settings.precision = 6
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(Settings, "precision")
        assert Settings.precision == 28
    assert Settings.precision == 6


def test_a_patch_makes_no_default() -> None:
    made = []

    class Counts(ctxvars.Group):
        count: list[int] = ctxvars.group_field(default_factory=lambda: made.append(1) or [])

    with mock.patch.object(Counts, "count", [1]):
        assert Counts.count == [1]
    assert made == []
    assert Counts.count == []


def test_a_descriptor_is_not_taken_for_a_value() -> None:
    state = vars(Settings)["precision"]
    in_class = class_dict(Settings)["precision"]
    for wrong in (vars(Settings)["digits"], vars(Redeclared)["precision"], in_class):
        with pytest.raises(
            TypeError, match=r"^Settings\.precision cannot be set to <.*not a value of a field$"
        ):
            Settings.precision = wrong
        with pytest.raises(TypeError, match="which is not a value"):
            Settings().precision = wrong
    for wrong in (state, in_class):
        with pytest.raises(TypeError, match=r"^Settings\.precision cannot be set to <"):
            Settings(precision=wrong)
        with pytest.raises(TypeError, match="which is not a value"):
            type("Made", (ctxvars.Group,), {"__annotations__": {"field": int}, "field": wrong})
    assert Settings.precision == 28


# The result of `vars()`


def test_the_attributes_of_a_group_are_those_of_a_class() -> None:
    class Plain:
        LIMIT = 10

        def doubled(self) -> int: ...

    namespace = vars(Settings)
    assert type(namespace) is types.MappingProxyType
    real = class_dict(Settings)
    assert [*namespace] == [*real] == [*namespace.keys()] == [*dict(namespace.items())]
    assert [*reversed(namespace)] == [*reversed(real)]
    assert len(namespace) == len(real)
    assert namespace["doubled"] is namespace.get("doubled") is real["doubled"]
    assert {*vars(Plain)} <= {*namespace.copy()} | {"__weakref__", "__dict__"}
    assert (namespace | {"more": 1})["more"] == ({"more": 1} | namespace)["more"] == 1
    assert "field" in repr(namespace)
    with pytest.raises(TypeError):
        namespace["new"] = 1
    Settings.later = 1
    assert namespace["later"] == 1
    del Settings.later
    assert namespace.get("later") is None
    with pytest.raises(KeyError, match="later"):
        namespace["later"]


def test_inherited_fields_are_looked_up_and_not_listed() -> None:
    namespace = vars(Derived)
    assert "precision" not in namespace
    assert "precision" not in [*namespace]
    assert namespace["precision"].variable is Settings.variables["precision"]
    with pytest.raises(KeyError):
        namespace["doubled"]


def test_a_field_in_the_attributes_is_a_data_descriptor() -> None:
    Settings.precision = 6
    state = vars(Settings)["precision"]
    assert inspect.isdatadescriptor(state)
    assert repr(state) == f"<field {__name__}.Settings.precision: 6>"
    Settings.precision = 7
    assert state.__get__(None, Settings) == 7
    state.__set__(Settings(), 8)
    assert Settings.precision == 8
    Settings.precision = state
    assert Settings.precision == 6


@pytest.mark.parametrize("of", [Settings, Derived, Settings(), Derived()], ids=repr)
def test_attributes_are_found_without_running_code(of: object) -> None:
    assert isinstance(inspect.getattr_static(of, "doubled"), types.FunctionType)
    found = inspect.getattr_static(of, "precision")
    assert found.variable is Settings.variables["precision"]
    with pytest.raises(AttributeError):
        inspect.getattr_static(of, "unknown")


def test_help_lists_fields_as_data() -> None:
    text = pydoc.plain(pydoc.render_doc(Settings))
    methods, data = text.split("Data descriptors defined here:")
    assert "precision" in data
    assert "precision" not in methods.partition("Methods defined here:")[2]


def test_a_metaclass_is_wanted_to_change_the_attributes_of_classes() -> None:
    for wrong in (int, type, 1, Settings):
        with pytest.raises(TypeError, match=r"^set_class_dict\(\) argument must be a metaclass"):
            _core.set_class_dict(wrong, copy.copy)
    with pytest.raises(TypeError, match="expected 2 arguments, got 1"):
        _core.set_class_dict(type)

    class Meta(type): ...

    class Broken(metaclass=Meta): ...

    _core.set_class_dict(Meta, lambda it: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        vars(Broken)


def test_threads_patch_the_same_field_in_contexts_of_their_own() -> None:
    seen = []

    def work(number: int) -> None:
        for _ in range(100):
            with mock.patch.object(Settings, "precision", number):
                seen.append(Settings.precision == number)
        seen.append(not Settings.variables["precision"].is_set())

    threads = [
        threading.Thread(target=ctxvars.Context().run, args=(work, number)) for number in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 202
    assert all(seen)
