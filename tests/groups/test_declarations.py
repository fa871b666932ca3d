"""Declarations of groups: fields in the body of a class, inheritance, and errors."""

from __future__ import annotations

import dataclasses
import re
import sys
import typing as t
from abc import ABC, ABCMeta, abstractmethod
from collections.abc import Callable
from types import ModuleType, new_class
from typing import Any, ClassVar, Final, Generic, TypeVar

import pytest

import ctxvars
from ctxvars import Group

T = TypeVar("T")
Hidden = ClassVar

# The annotations of this module are strings. Other annotations are tested by programs in strings.
EVALUATED = """
import typing
from typing import ClassVar, Final
from ctxvars import Group

class Settings(Group):
    precision: int = 28
    later: Later
    nested: list[Later] = None
    text: "Later" = "text"
    if precision == 28:
        conditional: int = 1
    KNOWN: ClassVar[Later] = ()
    BARE: ClassVar = 1
    MODULE: typing.ClassVar[int] = 1
    TEXT: "ClassVar[int]" = 1
    LAST: Final = 2
    TYPED: Final[int] = 3
    _private: int = 4
    __mangled: int = 5

class Later: pass
"""


def fields(group: type[Group]) -> list[str]:
    return [*group.variables]


def named(name: str, annotations: dict[Any, Any], *bases: type, **body: Any) -> Any:
    """Make a group without a class statement."""
    namespace = {"__annotations__": annotations, "__module__": __name__, **body}
    return new_class(name, bases or (Group,), {}, lambda made: made.update(namespace))


# Fields


class Body(Group):
    precision: int = 28
    locale: str
    text: list[Unknown]  # noqa: F821
    KNOWN: ClassVar[int] = 1
    BARE: ClassVar = 1
    MODULE: t.ClassVar[int] = 1
    TEXT: "ClassVar[int]" = 1  # noqa: UP037
    ALIAS: Hidden[int] = 1
    LAST: Final = 2
    TYPED: Final[int] = 3
    _private: int = 4
    __mangled: int = 5
    plain = 6

    def method(self) -> None: ...


def test_annotated_names_are_fields() -> None:
    assert fields(Body) == ["precision", "locale", "text"]
    assert (Body.KNOWN, Body.ALIAS, Body.LAST, Body._private, Body.plain) == (1, 1, 2, 4, 6)
    assert vars(Body)["_Body__mangled"] == 5


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are deferred from 3.14 on")
def test_deferred_annotations_are_found() -> None:
    names: dict[str, Any] = {"__name__": "deferred"}
    exec(compile(EVALUATED, "deferred", "exec", dont_inherit=True), names)
    group = names["Settings"]
    assert fields(group) == ["precision", "later", "nested", "text", "conditional"]
    assert group.__annotations__["later"] is names["Later"]
    assert (group.TEXT, group._private) == (1, 4)


def test_annotations_stay_with_their_class() -> None:
    assert Body.__annotations__["text"] == "list[Unknown]"
    assert [*Derived.__annotations__] == ["own", "more"]
    assert t.get_type_hints(Derived) == {"own": int, "more": int, "shared": int}

    class Empty(Derived):
        pass

    assert Empty.__annotations__ == {}
    assert fields(Empty) == fields(Derived)


def test_annotations_that_are_no_text_are_found() -> None:
    names: dict[str, Any] = {"__name__": "evaluated", "Later": int}
    exec(compile(EVALUATED, "evaluated", "exec", dont_inherit=True), names)
    group = names["Settings"]
    assert fields(group) == ["precision", "later", "nested", "text", "conditional"]
    assert group.variables["text"].name == "evaluated.Settings.text"
    assert group.variables["later"].get(None) is None


def test_text_is_looked_up_in_the_module() -> None:
    module = ModuleType("with_a_final")
    source = """
from __future__ import annotations
from typing import ClassVar as Constant
from ctxvars import Group
class Final: pass
class Settings(Group):
    value: Final = 1
    known: Constant[int] = 2
    # These cannot be looked up, and go by their names.
    unknown: missing.ClassVar[int] = 3
    without: Final.Final = 4
    other: missing = 5
"""
    sys.modules[module.__name__] = module
    try:
        exec(source, vars(module))
    finally:
        del sys.modules[module.__name__]
    assert fields(module.Settings) == ["value", "other"]


def test_defaults_may_be_anything() -> None:
    class Odd(Group):
        none: Any = None
        function: Callable[[int], int] = abs
        prop: Any = property(lambda self: 1)
        missing: Any = ctxvars.group_field(default=None)
        needed: Any = ctxvars.group_field()

    assert Odd.none is None
    assert Odd.function is abs
    assert isinstance(Odd.prop, property)
    assert Odd.missing is None
    assert "needed" not in Odd.as_dict()


def test_a_class_is_named_and_subclassed_as_any_other() -> None:
    seen = {}

    class Base(Group):
        def __init_subclass__(cls, /, tag: str, **keywords: Any) -> None:
            super().__init_subclass__(**keywords)
            seen[tag] = [*cls.variables], cls.value

    class Tagged(Base, tag="a"):
        value: int = 1

        def own(self) -> Any:
            return super(), __class__

    assert seen == {"a": (["value"], 1)}
    assert Tagged().own()[1] is Tagged
    assert Tagged.variables["value"].name == f"{__name__}.{Tagged.__qualname__}.value"
    assert Tagged.__module__ == __name__


def test_groups_may_be_generic_and_abstract() -> None:
    class Box(Group, Generic[T]):
        content: T

    class Meta(type(Group), ABCMeta):
        pass

    class Abstract(Group, ABC, metaclass=Meta):
        size: int = 1

        @abstractmethod
        def use(self) -> None: ...

    with Box[int](content=3) as box:
        assert box.content == 3
    with pytest.raises(TypeError, match="abstract"):
        Abstract()
    Abstract.size = 2
    del Abstract.size
    with pytest.raises(TypeError, match=r"\.register hides what every group has of that name$"):
        named("Registered", {"register": int}, Abstract)


def test_a_class_made_by_a_call_is_a_group() -> None:
    made = type(Group)("Called", (Group,), {"__annotations__": {"value": int}})
    assert fields(made) == ["value"]
    assert made.variables["value"].name == f"{made.__module__}.Called.value"


# Inheritance


class Base(Group):
    shared: int = 1
    own: int = 2


class Derived(Base):
    own: int = 3
    more: int = 4


class Mixin:
    def total(self: Any) -> int:
        return self.shared + self.own


def test_a_subclass_shares_the_fields_of_its_base() -> None:
    assert fields(Derived) == ["own", "more", "shared"]
    assert Derived.variables["shared"] is Base.variables["shared"]
    assert Derived.variables["own"] is not Base.variables["own"]
    with Derived(shared=5, own=6):
        assert (Base.shared, Base.own, Derived.own) == (5, 2, 6)
        Base.shared = 7
        assert Derived.shared == 7
    with pytest.raises(TypeError, match=r"^Base has no field 'more'"):
        Base(more=1)


def test_mixins_bring_methods() -> None:
    class Mixed(Mixin, Derived):
        pass

    class Behind(Derived, Mixin):
        pass

    assert Mixed().total() == Behind().total() == 4
    assert fields(Mixed) == fields(Behind) == fields(Derived)


def test_annotations_of_mixins_are_not_fields() -> None:
    class Annotated:
        value: int = 1

    class Mixed(Annotated, Group):
        other: int = 2

    assert fields(Mixed) == ["other"]


def test_a_diamond_has_the_field_that_python_finds() -> None:
    class Left(Base):
        own: int = 10

    class Right(Base):
        pass

    class Bottom(Right, Left):
        pass

    assert Bottom.own == 10
    assert Bottom.variables["own"] is Left.variables["own"]
    assert Bottom.variables["shared"] is Base.variables["shared"]


def test_different_fields_of_one_name_are_refused() -> None:
    class Left(Base):
        own: int = 10

    class Right(Base):
        own: int = 20

    message = (
        r"^Both\.own is inherited from .*Left and, as something else, from .*Right: "
        r"declare it again, by an annotation$"
    )
    with pytest.raises(TypeError, match=message):
        named("Both", {}, Left, Right)
    both = named("Both", {"own": int}, Left, Right)
    assert both.variables["own"] not in (Left.variables["own"], Right.variables["own"])


# Errors


def refuse(message: str, *arguments: Any, **body: Any) -> None:
    with pytest.raises(TypeError, match=message):
        named(*arguments, **body)


@pytest.mark.parametrize("name", ["two words", "class", "", "1st", 1])
def test_a_field_needs_the_name_of_an_attribute(name: object) -> None:
    refuse(r"^Bad cannot have a field .*: it is not an identifier$", "Bad", {name: int})


@pytest.mark.parametrize("name", ["variables", "snapshot", "as_dict", "mro"])
def test_a_field_may_not_hide_what_groups_have(name: str) -> None:
    message = rf"^Bad\.{name} hides what every group has of that name$"
    refuse(message, "Bad", {name: int})
    if name != "mro":
        refuse(message, "Bad", {}, **{name: lambda self: None})
        refuse(message, "Bad", {}, type("Mixin", (), {name: 1}), Group)


def test_a_field_may_not_hide_a_method() -> None:
    refuse(r"^Bad\.total hides an attribute of Mixin$", "Bad", {"total": int}, Mixin, Group)
    refuse(r"^Bad\.method hides an attribute of Body$", "Bad", {"method": int}, Body)


@pytest.mark.parametrize("value", [3, property(lambda self: 3)])
def test_nothing_else_may_hide_a_field(value: object) -> None:
    refuse(r"^Bad\.own hides a field of Base: declare it again", "Bad", {}, Base, own=value)
    annotations = {"own": "ClassVar[int]"}
    refuse(r"^Bad\.own hides a field of Base", "Bad", annotations, Base, own=value)
    mixin = type("Mixin", (), {"own": value})
    message = r"^Bad\.own is inherited from {} and, as something else, from {}"
    refuse(message.format("Mixin", "Base"), "Bad", {}, mixin, Base)
    refuse(message.format("Base", "Mixin"), "Bad", {}, Base, mixin)


@pytest.mark.parametrize("annotations", [{}, {"value": ClassVar[int]}])
def test_a_declaration_needs_a_field(annotations: dict[str, Any]) -> None:
    refuse(
        r"^Bad\.value is not a field: it needs an ann",
        "Bad",
        annotations,
        value=ctxvars.group_field(default=1),
    )
    private = {"_value": int}
    refuse(
        r"^Bad\._value is not a field",
        "Bad",
        private,
        _value=ctxvars.group_field(default_factory=list),
    )


def test_declarations_are_checked() -> None:
    with pytest.raises(ValueError, match=r"^cannot specify both default and default_factory$"):
        ctxvars.group_field(default=1, default_factory=int)
    with pytest.raises(
        TypeError, match=r"^group_field\(\) argument 'default_factory' must be callable"
    ):
        ctxvars.group_field(default_factory=[])
    for wrong in (3, "text"):
        with pytest.raises(
            TypeError, match=r"^group_field\(\) argument 'validate' must be callable"
        ):
            ctxvars.group_field(default=1, validate=wrong)


class UnhashableValue:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "UnhashableValue()"


@pytest.mark.parametrize(
    ("default", "advice"),
    [
        ([], "list"),
        ({}, "dict"),
        (set(), "set"),
        ([1, 2], "lambda: [1, 2]"),
        (UnhashableValue(), "lambda: UnhashableValue()"),
    ],
)
def test_a_default_that_contexts_would_share_is_refused(default: object, advice: str) -> None:
    advice = re.escape(f"write ctxvars.group_field(default_factory={advice}), which")
    message = rf"^Bad\.value has a default of type \w+, which all contexts would share: {advice}"
    refuse(message, "Bad", {"value": Any}, value=default)
    refuse(message, "Bad", {"value": Any}, value=ctxvars.group_field(default=default))
    # What is not a field may have any value.
    assert named("Good", {"value": ClassVar[Any]}, value=default).value is default


def test_a_field_of_dataclasses_is_refused() -> None:
    message = r"^Bad\.value cannot be a dataclasses\.field\(\): write ctxvars\.group_field\(\)"
    refuse(message, "Bad", {"value": int}, value=dataclasses.field(default=1))


def test_a_validate_that_returns_false_refuses_the_value() -> None:
    def positive(value: int) -> bool:
        return value > 0

    made = named("Good", {"value": int}, value=ctxvars.group_field(default=1, validate=positive))
    with pytest.raises(
        ValueError, match=r"^Good\.value cannot be -1: its validate returned False$"
    ):
        made.value = -1
    assert made.value == 1
    with made(value=2):
        assert made.value == 2
    with pytest.raises(ValueError, match="returned False"):
        named("Bad", {"value": int}, value=ctxvars.group_field(default=0, validate=positive))
    # Any other result accepts the value.
    field = ctxvars.group_field(default=0, validate=lambda value: value)
    assert named("Good", {"value": int}, value=field).value == 0


def test_a_default_is_validated_when_the_class_is_made() -> None:
    calls = []

    def refuse_all(value: object) -> None:
        calls.append(value)
        raise ValueError("refused")

    with pytest.raises(ValueError, match=r"^refused") as caught:
        named("Bad", {"value": int}, value=ctxvars.group_field(default=3, validate=refuse_all))
    assert (calls, caught.value.__notes__) == ([3], ["while setting Bad.value"])
    # Missing defaults, and defaults of factories, are not validated.
    made = named("Good", {"value": int}, value=ctxvars.group_field(validate=refuse_all))
    with pytest.raises(LookupError):
        _ = made.value
    assert calls == [3]


def test_a_refused_class_is_never_visible() -> None:
    before = Group.__subclasses__()
    refuse("hides", "Bad", {"variables": int})
    refuse("identifier", "Bad", {"two words": int})
    assert Group.__subclasses__() == before
