"""Reading fields from classes, which is cached, after the class or its bases have changed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ctxvars
from ctxvars import Group, _core
from tests.support.groups import unset_afterwards
from tests.support.new_context import in_new_context

READS = range(5)
GroupMeta: Any = type(Group)


class Settings(Group):
    precision: int = 28
    locale: str

    KNOWN = ("de", "en")

    @classmethod
    def known(cls) -> Any:
        return cls.KNOWN


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    yield from unset_afterwards(Settings.variables.values())


def made(*bases: type, metaclass: Any = GroupMeta, **fields: Any) -> Any:
    body = {"__annotations__": dict.fromkeys(fields, Any), "__module__": __name__, **fields}
    return metaclass("Made", bases or (Group,), body)


def read(group: Any, name: str = "value") -> Any:
    """Read an attribute often enough that it is cached; all reads have one result."""
    (result,) = {getattr(group, name, "missing") for _ in READS}
    return result


def test_fields_and_other_attributes_are_read_often() -> None:
    for number in READS:
        assert (Settings.precision, Settings.KNOWN) == (28, ("de", "en"))
        assert Settings.known() is Settings.KNOWN
        with Settings(precision=number):
            assert read(Settings, "precision") == number
        assert in_new_context(lambda: read(Settings, "precision")) == 28
        for name in ("locale", "unknown"):
            with pytest.raises(AttributeError) as caught:
                getattr(Settings, name)
            assert (caught.value.name, caught.value.obj) == (name, Settings)
            assert isinstance(caught.value, ctxvars.UnsetFieldError) == (name == "locale")


def test_classes_with_the_same_names_are_kept_apart() -> None:
    groups = [made(value=number) for number in range(1000)]
    for _ in READS:
        assert [group.value for group in groups] == [*range(1000)]


def test_a_dropped_class_leaves_nothing_behind() -> None:
    for number in range(500):
        group = made(value=[number].__len__)
        weak = weakref.ref(group)
        assert read(group)() == 1
        del group
        gc.collect(0 if number % 50 else 2)
        assert number % 50 or weak() is None


def descriptor(value: Any) -> Any:
    return _core.VariableDescriptor(ctxvars.ContextVar("v", default=value), LookupError)


def in_class(group: type, name: str, value: object) -> None:
    """Change a class as if its metaclass were `type`."""
    type.__setattr__(group, name, value)


def test_a_changed_class_is_read_anew() -> None:
    group = made(value=1)
    for number in READS:
        assert read(group) == max(number, 1)
        in_class(group, "value", descriptor(number + 1))
        gc.collect()
        assert read(group) == number + 1
    in_class(group, "value", "plain")
    assert read(group) == "plain"
    type.__delattr__(group, "value")
    assert read(group) == "missing"
    in_class(group, "value", descriptor(7))
    assert read(group) == 7


def test_a_changed_base_is_read_anew() -> None:
    base = made(value=1)
    middle = made(base)
    group = made(middle)
    assert read(group) == 1
    in_class(middle, "value", descriptor(2))
    assert (read(group), read(base)) == (2, 1)
    in_class(base, "value", descriptor(3))
    type.__delattr__(middle, "value")
    gc.collect()
    assert read(group) == 3
    group.__bases__ = (made(value=4),)
    del base, middle
    gc.collect()
    assert read(group) == 4


def test_a_mixin_is_read_that_gets_an_attribute_later() -> None:
    class Mixin: ...

    group = made(Mixin, made(value=1))
    assert read(group) == 1
    Mixin.value = 2  # type: ignore[attr-defined]
    assert read(group) == 2
    del Mixin.value  # type: ignore[attr-defined]
    assert read(group) == 1


def test_an_attribute_of_the_metaclass_comes_first_if_it_is_a_data_descriptor() -> None:
    class Meta(GroupMeta):  # type: ignore[misc]
        pass

    group = made(metaclass=Meta, value=1)
    assert read(group) == 1
    Meta.value = property(lambda cls: 2)
    assert read(group) == 2
    Meta.value = 3
    assert read(group) == 1
    del Meta.value
    assert read(group) == 1


def test_a_metaclass_may_read_attributes_itself() -> None:
    class Before(GroupMeta):  # type: ignore[misc]
        def __getattribute__(cls, name: str) -> Any:
            found = super().__getattribute__(name)
            return ("read", found) if name == "value" else found

    class After(GroupMeta):  # type: ignore[misc]
        def __getattr__(cls, name: str) -> Any:
            return "made up"

    assert read(made(metaclass=Before, value=1)) == ("read", 1)
    group = made(metaclass=After, value=1)
    assert (read(group), read(group, "unknown")) == (1, "made up")
    assert GroupMeta.__getattribute__(group, "value") == 1
    assert type.__getattribute__(group, "value") == 1


class Name(str):
    """A name that runs code when it is compared."""

    __slots__ = ("compared",)
    __hash__ = str.__hash__
    compared: Callable[[], object]

    def __eq__(self, other: object) -> bool:
        self.compared()
        return str.__eq__(self, other)


def test_names_may_be_odd() -> None:
    name = Name("precision")
    name.compared = gc.collect
    long = "x" * 1000
    for _ in READS:
        assert getattr(Settings, name) == 28
        assert getattr(Settings, "".join(["pre", "cision"])) == 28
        assert not hasattr(Settings, long)
        for wrong in (1, None, b"precision"):
            with pytest.raises(TypeError, match="must be"):
                getattr(Settings, wrong)  # type: ignore[call-overload]


def test_a_comparison_of_names_may_change_the_class() -> None:
    def change() -> None:
        if changes:
            in_class(group, "value", descriptor(changes.pop()))
            gc.collect()

    changes: list[int] = []
    name = Name("value")
    name.compared = change
    group = GroupMeta("Odd", (Group,), {"__annotations__": {name: int}, name: 1})
    for number in READS:
        changes.append(number)
        seen = [getattr(group, "".join(["val", "ue"])) for _ in READS]
        assert seen[1:] == [number] * 4


def test_a_factory_may_remove_its_own_field() -> None:
    def make() -> str:
        type.__delattr__(group, "value")
        gc.collect()
        return "made"

    group: Any = made(value=ctxvars.group_field(default_factory=make))
    group.value = "set"
    assert read(group) == "set"
    del group.value
    assert group.value == "made"
    assert not hasattr(group, "value")


def test_an_error_of_a_cached_field_is_that_of_the_descriptor() -> None:
    group = made(value=ctxvars.group_field())
    group.value = 1
    assert read(group) == 1
    group.variables["value"].delete()
    for _ in READS:
        with pytest.raises(ctxvars.UnsetFieldError):
            _ = group.value


def test_the_base_of_the_metaclass_makes_plain_classes() -> None:
    plain = _core.GroupMetaBase("Plain", (), {"value": 1, "field": descriptor(2)})
    assert (read(plain), read(plain, "field"), read(plain, "unknown")) == (1, 2, "missing")
    plain.field = 3
    assert read(plain, "field") == 3
