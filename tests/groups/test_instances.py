"""Making instances of groups, in compiled code and in the Python code that it calls."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, _core
from ctxvars._groups.group import init_slowly
from tests.support.groups import positive, unset_afterwards


class Settings(ctxvars.Group):
    precision: int = 28
    locale: Any
    digits: int = ctxvars.group_field(default=6, validate=positive)


class Plain(ctxvars.Group):
    one: Any
    two: Any = 2


class Closed(ctxvars.Group):
    __slots__ = ()
    one: Any


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    variables = [*Settings.variables.values(), *Plain.variables.values()]
    yield from unset_afterwards([*variables, Closed.variables["one"]])


# The dict of keywords


@pytest.mark.parametrize("group", [Plain, Settings])
def test_an_instance_does_not_share_the_dict_of_its_caller(group: Any) -> None:
    name, other = [*group.variables][:2]
    values = {name: 1, other: 2}
    partial = functools.partial(group, **values)
    instances = [group(**values), partial(), group.__call__(**values), partial(**{name: 1})]
    again = group()
    again.__init__(**values)
    functools.partial(again.__init__, **values)()
    values[name] = 3
    partial.keywords[name] = 3
    for instance in (*instances, again):
        assert repr(instance) == f"{group.__name__}({name}=1, {other}=2)"
        with instance:
            assert group.as_dict()[name] == 1


class Name(str):
    """A name that runs code when it is compared."""

    __slots__ = ("compared",)
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        self.compared()
        return str.__eq__(self, other)


def test_names_that_run_code_are_taken() -> None:
    name = Name("one")
    name.compared = gc.collect
    with Plain(**{name: 1, "two": 3}):
        assert (Plain.one, Plain.two) == (1, 3)
    name.compared = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        Plain(**{name: 1})


def test_a_field_may_have_a_name_that_runs_code() -> None:
    name = Name("one")
    name.compared = gc.collect
    body = {"__annotations__": {name: int, "two": int}, "__module__": __name__}
    group = type(Plain)("Named", (ctxvars.Group,), body)
    with group(one=1, two=2):
        assert group.as_dict() == {"one": 1, "two": 2}
    # The dict that compiled code looks into.
    assert [*group.__group_fields__.plain] == ["two"]


def test_a_value_may_have_an_odd_type() -> None:
    class Meta(type):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(cls, other: object) -> bool:
            return True

    class Odd(metaclass=Meta): ...

    odd = Odd()
    with Plain(one=odd):
        assert Plain.one is odd


def test_a_value_may_be_missing() -> None:
    with Plain(one=1, two=3), Plain(one=MISSING, two=MISSING) as instance:
        assert Plain.as_dict() == {"two": 2}
    assert repr(instance) == f"Plain(one={MISSING!r}, two={MISSING!r})"
    with Settings(digits=3), Settings(digits=MISSING):
        assert Settings.digits == 6


# Fields that Python code looks at


def test_plain_fields_are_those_without_validation() -> None:
    class Derived(Settings):
        more: int = 1
        precision: int = ctxvars.group_field(default=1, validate=positive)

    variables = Derived.variables
    assert Derived.__group_fields__.plain == {name: variables[name] for name in ("more", "locale")}
    with Derived(more=2, locale="de"):
        assert Settings.locale == "de"
    with pytest.raises(ValueError, match="is not positive"):
        Derived(more=2, precision=0)
    with Derived(more=2, precision=3):
        assert (Derived.more, Derived.precision, Settings.precision) == (2, 3, 28)


def test_a_validator_may_enter_and_change_the_instance_that_it_is_called_for() -> None:
    made: list[Any] = []

    def check(value: object) -> None:
        for instance in made:
            instance.__init__(other=value)
            with instance:
                assert Checked.other == value

    class Checked(ctxvars.Group):
        other: Any = None
        checked: Any = ctxvars.group_field(default=None, validate=check)

    instance = Checked()
    made.append(instance)
    instance.__init__(checked=1)
    assert repr(instance).endswith("Checked(checked=1)")
    with instance:
        assert (Checked.checked, Checked.other) == (1, None)


def test_errors_are_those_of_python_code() -> None:
    for values in ({"other": 1}, {"one": 1, "other": 2}, {"two": 2, "other": 1}):
        with pytest.raises(TypeError, match=r"^Plain has no field 'other': its fields are one, tw"):
            Plain(**values)
    with pytest.raises(TypeError, match=r"^Plain\(\) takes no positional arguments$"):
        Plain(1, one=1)
    descriptor = _core.VariableDescriptor(Plain.variables["one"], LookupError)
    with pytest.raises(TypeError, match=r"^Plain\.one cannot be set to <.*not a value of a field$"):
        Plain(two=1, one=descriptor)
    instance = Plain(one=1)
    with pytest.raises(TypeError, match="no field"):
        instance.__init__(other=1)
    assert repr(instance) == "Plain(one=1)"


def test_a_class_may_have_its_own_new_and_init() -> None:
    class Own(Plain):
        def __new__(cls, number: int) -> Any:
            return super().__new__(cls)

        def __init__(self, number: int) -> None:
            super().__init__(one=number)
            self.number = number

    class Refused(Plain):
        def __new__(cls, **values: Any) -> Any:
            return super().__new__(cls, **values)

    own = Own(3)
    with own:
        assert Plain.one == own.number == 3
    with copy.copy(own) as copied:
        assert (Own.one, copied.number) == (3, 3)
    with pytest.raises(TypeError, match=r"object\.__new__\(\) takes exactly one argument"):
        Refused(one=1)


def test_both_ways_make_the_same_instance() -> None:
    compiled, slow = Plain(one=1, two=MISSING), Plain()
    init_slowly(slow, (), {"one": 1, "two": MISSING})
    assert repr(compiled) == repr(slow)
    for instance in (compiled, slow):
        with Plain(two=3), instance:
            assert Plain.as_dict() == {"one": 1, "two": 2}


def test_the_signature_takes_keywords() -> None:
    parameters = inspect.signature(Plain).parameters.values()
    kinds = [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]
    assert [it.kind for it in parameters] == kinds


# Instances in unusual states


def test_an_instance_without_init_cannot_be_entered() -> None:
    instance = object.__new__(Plain)
    for use in (instance.__enter__, lambda: instance.__exit__(None, None, None)):
        with pytest.raises(AttributeError, match="__group_scope__"):
            use()
    with pytest.raises(AttributeError, match="__group_values__"):
        repr(instance)
    instance.__init__(one=1)
    with instance:
        assert Plain.one == 1


def test_an_entered_instance_that_is_made_again_is_not_entered() -> None:
    instance = Plain(one=1)
    instance.__enter__()
    instance.__init__(one=2)
    assert Plain.one == 1
    with pytest.raises(RuntimeError, match=r"^Plain\(one=2\) is not entered: use it in") as caught:
        instance.__exit__(None, None, None)
    assert caught.value.__suppress_context__
    with instance:
        assert Plain.one == 2
    assert Plain.one == 1
    Plain.variables["one"].delete()


def test_a_finaliser_may_make_the_instance_again_while_it_is_left() -> None:
    class Makes:
        def __del__(self) -> None:
            instance.__init__(one=3)
            seen.append(repr(instance))

    seen: list[str] = []
    instance = Plain(one=1)
    for _ in range(3):
        with instance:
            Plain.two = 3
            Plain.one = Makes()  # Leaving drops it.
    del Plain.two
    assert seen == ["Plain(one=3)"] * 3
    assert not Plain.variables["one"].is_set()


def test_an_instance_is_left_with_three_arguments() -> None:
    with Plain(one=1) as instance:
        for wrong in ((), (None,), (None,) * 4):
            with pytest.raises(TypeError):
                instance.__exit__(*wrong)
        assert Plain.one == 1


def test_parts_of_an_instance_are_only_read() -> None:
    instance = Plain(one=1)
    assert instance.__group_values__ == {"one": 1}
    assert type(instance.__group_scope__) is ctxvars.Scope
    assert Plain().__group_scope__ is None
    for name in ("__group_values__", "__group_scope__"):
        with pytest.raises(AttributeError):
            setattr(instance, name, None)
        with pytest.raises(AttributeError):
            delattr(instance, name)


def test_an_instance_is_filled_with_a_dict_and_a_scope() -> None:
    instance = Plain()
    scope = ctxvars.scope({Plain.variables["one"]: 1})
    for wrong in ((1, {}, None), (Plain, {}, None), (instance, [], None), (instance, {}, 1)):
        with pytest.raises(TypeError, match=r"^fill_group\(\) argument must be"):
            _core.fill_group(*wrong)
    with pytest.raises(TypeError, match="expected 3 arguments, got 2"):
        _core.fill_group(instance, {})
    _core.fill_group(instance, {"one": 1}, scope)
    with instance:
        assert Plain.one == 1
    with pytest.raises(AttributeError, match="__group_fields__"):
        _core.GroupBase(one=1)


# The collector


@pytest.mark.parametrize("is_entered", [False, True])
@pytest.mark.parametrize("group", [Plain, Closed])
def test_an_instance_that_is_its_own_value_is_collected(group: Any, is_entered: bool) -> None:
    class Value: ...

    def use() -> weakref.ref[Any]:
        value: Any = Value()
        value.instance = group(one=value)
        if is_entered:
            group.one = value.instance
            value.instance.__enter__()
        return weakref.ref(value)

    weak = ctxvars.Context().run(use)
    gc.collect()
    assert weak() is None


def test_an_instance_refers_to_its_class_and_its_values() -> None:
    value = object()
    instance = Plain(one=value)
    referents = gc.get_referents(instance)
    assert Plain in referents
    assert any(it == {"one": value} for it in referents)
    assert any(type(it) is ctxvars.Scope for it in referents)


# Pickles of earlier versions

PICKLES = [
    b"cctxvars._groups.group\n_instance\np0\n(ctests.groups.test_copies\nSettings\np1\n(dp2\n"
    b"Vprecision\np3\nI6\nsVlocale\np4\nVde\np5\nstp6\nRp7\n(dp8\nVown\np9\n(lp10\nI1\nasb.",
    b"\x80\x02cctxvars._groups.group\n_instance\nq\x00ctests.groups.test_copies\nSettings\nq\x01}"
    b"q\x02(X\t\x00\x00\x00precisionq\x03K\x06X\x06\x00\x00\x00localeq\x04X\x02\x00\x00\x00deq\x05"
    b"u\x86q\x06Rq\x07}q\x08X\x03\x00\x00\x00ownq\t]q\nK\x01asb.",
    b"\x80\x04\x95\x82\x00\x00\x00\x00\x00\x00\x00\x8c\x15ctxvars._groups.group\x94\x8c\t_instance"
    b"\x94\x93\x94\x8c\x18tests.groups.test_copies\x94\x8c\x08Settings\x94\x93\x94}\x94(\x8c\t"
    b"precision\x94K\x06\x8c\x06locale\x94\x8c\x02de\x94u\x86\x94R\x94}\x94\x8c\x03own\x94]\x94K\x01"
    b"asb.",
]


@pytest.mark.parametrize("pickled", PICKLES)
def test_a_pickle_of_an_earlier_version_is_read(pickled: bytes) -> None:
    loaded = pickle.loads(pickled)
    assert repr(loaded) == "Settings(precision=6, locale='de')"
    assert loaded.own == [1]
    with loaded:
        assert (type(loaded).precision, type(loaded).locale) == (6, "de")
