"""Groups of variables: reading, setting and deleting fields, and scopes of several fields."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

import ctxvars
from ctxvars import ContextVar
from tests.support.gc.values import Value
from tests.support.groups import positive, unset_afterwards
from tests.support.new_context import in_new_context


class Settings(ctxvars.Group):
    """A group with a field of each kind."""

    precision: int = 28
    locale: str
    tags: list[str] = ctxvars.group_field(default_factory=list)
    digits: int = ctxvars.group_field(default=6, validate=positive)

    KNOWN: ClassVar[tuple[str, ...]] = ("de", "en")

    def doubled(self) -> int:
        return self.precision * 2

    @property
    def halved(self) -> float:
        return self.precision / 2

    @classmethod
    def is_known(cls) -> bool:
        return cls.locale in cls.KNOWN


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    yield from unset_afterwards(Settings.variables.values())


# Reading, setting, deleting


def test_a_field_reads_as_the_current_value_of_its_variable() -> None:
    variable = Settings.variables["precision"]
    assert variable.name == f"{__name__}.Settings.precision"
    assert Settings.precision == Settings().precision == variable.get() == 28
    with variable.scope(6):
        assert Settings.precision == Settings().precision == 6
        assert in_new_context(lambda: Settings.precision) == 28


def test_a_field_without_a_value_is_an_attribute_that_is_not_there() -> None:
    variable = Settings.variables["locale"]
    for group in (Settings, Settings()):
        with pytest.raises(LookupError) as caught:
            _ = group.locale
        assert type(caught.value) is ctxvars.UnsetFieldError
        assert isinstance(caught.value, AttributeError)
        assert caught.value.args == (variable,)
        assert str(caught.value) == f"{__name__}.Settings.locale is not set in this context"
        assert (caught.value.name, caught.value.obj) == ("locale", group)
        assert not hasattr(group, "locale")
        assert getattr(group, "locale", None) is None
        assert "locale" in dir(group)
        with Settings(locale="de"):
            assert hasattr(group, "locale")
    with pytest.raises(LookupError) as caught:
        variable.get()
    assert type(caught.value) is LookupError


def test_assigning_to_a_field_sets_its_variable_in_this_context() -> None:
    Settings.precision = 6
    assert Settings.variables["precision"].get() == 6
    Settings().precision += 1
    assert Settings.precision == 7
    assert "precision" not in Settings().__dict__
    assert in_new_context(lambda: Settings.precision) == 28
    assert ctxvars.copy_context().run(lambda: Settings.precision) == 7


def test_deleting_a_field_brings_its_default_back() -> None:
    Settings.precision = 6
    del Settings.precision
    assert Settings.precision == 28
    assert not Settings.variables["precision"].is_set()
    # The default is there as before. A second deletion has no effect and is not an error.
    del Settings.precision
    Settings.precision = 7
    del Settings().precision
    assert Settings.precision == 28


@pytest.mark.parametrize("of", [Settings, Settings()], ids=["class", "instance"])
def test_a_required_field_cannot_be_deleted(of: Any) -> None:
    Settings.locale = "de"
    with pytest.raises(
        AttributeError, match=r"^Settings\.locale cannot be deleted: it has no default\. "
    ):
        del of.locale
    assert Settings.locale == "de"


def test_a_default_is_made_for_each_context() -> None:
    Settings.tags.append("here")
    assert Settings.tags == ["here"]
    assert in_new_context(lambda: Settings.tags) == []
    assert ctxvars.copy_context().run(lambda: Settings.tags) == []
    Settings.tags = ["set"]
    assert ctxvars.copy_context().run(lambda: Settings.tags) is Settings.tags
    del Settings.tags
    assert Settings.tags in ([], ["here"])


def test_other_attributes_are_as_in_any_class() -> None:
    settings = Settings()
    assert (settings.doubled(), settings.halved) == (56, 14)
    with Settings(locale="fr"):
        assert not Settings.is_known()
    Settings.KNOWN = ("fr",)
    try:
        with Settings(locale="fr"):
            assert Settings.is_known()
    finally:
        Settings.KNOWN = ("de", "en")
    settings.own = 1
    assert settings.__dict__ == {"own": 1}
    del settings.own
    with pytest.raises(AttributeError):
        del settings.own
    with pytest.raises(AttributeError, match="halved"):
        settings.halved = 1.0


def test_a_descriptor_is_for_variables_only() -> None:
    from ctxvars import _core

    variable = Settings.variables["precision"]
    descriptor = _core.VariableDescriptor(variable, ZeroDivisionError)
    assert descriptor.variable is variable
    for wrong in (contextvars.ContextVar("native"), None, descriptor):
        with pytest.raises(
            TypeError, match=r"^VariableDescriptor\(\) argument must be a ContextVar"
        ):
            _core.VariableDescriptor(wrong, LookupError)
    for wrong in (LookupError(), int, None):
        with pytest.raises(TypeError, match="must be an exception class, got"):
            _core.VariableDescriptor(variable, wrong)
    with pytest.raises(AttributeError, match="readonly"):
        descriptor.variable = None


# Validation


def refused(setting: Any) -> None:
    with pytest.raises(ValueError, match="is not positive") as caught:
        setting()
    assert caught.value.__notes__ == ["while setting Settings.digits"]


def test_a_refused_value_changes_nothing() -> None:
    Settings.digits = 3
    refused(lambda: setattr(Settings, "digits", 0))
    refused(lambda: setattr(Settings(), "digits", -1))
    refused(lambda: Settings(precision=1, digits=-1))
    assert (Settings.digits, Settings.precision) == (3, 28)


def test_the_result_of_a_default_factory_is_validated() -> None:
    made = iter([0, 5])

    class Counts(ctxvars.Group):
        count: int = ctxvars.group_field(default_factory=lambda: next(made), validate=positive)

    with pytest.raises(ValueError, match="0 is not positive") as caught:
        _ = Counts.count
    assert caught.value.__notes__ == [f"while setting {Counts.__qualname__}.count"]
    assert Counts.count == 5


# Several at once


def test_an_instance_sets_fields_for_as_long_as_it_is_entered() -> None:
    Settings.precision = 7
    with Settings(precision=6, locale="de") as settings:
        assert isinstance(settings, Settings)
        assert (Settings.precision, settings.locale, Settings.digits) == (6, "de", 6)
        with Settings(locale="en"):
            assert (Settings.precision, Settings.locale) == (6, "en")
        assert Settings.locale == "de"
        # After a `set` in the body: fields of the instance are restored, others keep their values.
        Settings.precision = 8
        Settings.digits = 3
    assert (Settings.precision, Settings.digits) == (7, 3)
    assert not Settings.variables["locale"].is_set()


def test_an_instance_restores_after_an_exception_and_can_be_entered_again() -> None:
    settings = Settings(precision=6)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), settings:
            Settings.precision /= 0
        assert Settings.precision == 28


def test_an_instance_is_entered_once_at_a_time() -> None:
    with Settings(precision=6) as settings:
        with pytest.raises(RuntimeError), settings:
            pass
        assert Settings.precision == 6
    with pytest.raises(RuntimeError):
        settings.__exit__(None, None, None)


def test_an_instance_without_values_sets_nothing() -> None:
    with Settings() as settings, settings:
        assert Settings.snapshot().__reduce__()[1] == (Settings, {})
    assert repr(settings) == "Settings()"


def test_an_instance_shows_its_values() -> None:
    assert repr(Settings(locale="de", precision=6)) == "Settings(locale='de', precision=6)"


def test_fields_may_have_the_names_of_arguments() -> None:
    class Names(ctxvars.Group):
        self: int = 1
        cls: int = 2
        values: int = 3
        name: int = 4

    with Names(self=5, cls=6, values=7, name=8):
        assert Names.as_dict() == {"self": 5, "cls": 6, "values": 7, "name": 8}


def test_instances_may_be_without_attributes() -> None:
    class Closed(ctxvars.Group):
        __slots__ = ()
        value: int = 1

    closed = Closed(value=2)
    with pytest.raises(AttributeError), closed:
        closed.other = closed.value
    with copy.copy(closed):
        closed.value += 1
        assert Closed.value == 3


def test_unknown_fields_and_positional_arguments_are_refused() -> None:
    message = r"^Settings has no field 'precison': its fields are precision, locale, tags, digits$"
    with pytest.raises(TypeError, match=message):
        Settings(locale="de", precison=6)
    with pytest.raises(TypeError, match=r"^Settings has no field 'KNOWN'"):
        Settings(KNOWN=())
    with pytest.raises(TypeError, match=r"^Group has no field 'a': it has no fields$"):
        ctxvars.Group(a=1)
    with pytest.raises(TypeError, match=r"^Settings\(\) takes no positional arguments$"):
        Settings(6)


# All fields


def test_variables_is_a_view_of_all_fields() -> None:
    variables = Settings.variables
    assert [*variables] == ["precision", "locale", "tags", "digits"]
    assert all(type(variable) is ContextVar for variable in variables.values())
    with pytest.raises(TypeError):
        variables["other"] = ContextVar("other")
    with pytest.raises(AttributeError):
        Settings.variables = {}
    assert not hasattr(Settings(), "variables")


def test_as_dict_has_the_fields_that_have_a_value() -> None:
    with Settings(tags=["a"]):
        assert Settings.as_dict() == {"precision": 28, "tags": ["a"], "digits": 6}
        with Settings(locale="de"):
            assert Settings.as_dict()["locale"] == "de"
    assert Settings.as_dict()["tags"] is Settings.tags
    assert ctxvars.Group.as_dict() == {}


def test_as_dict_hides_no_error_of_a_factory() -> None:
    class Broken(ctxvars.Group):
        value: int = ctxvars.group_field(default_factory={}.popitem)

    with pytest.raises(KeyError, match="dictionary is empty"):
        Broken.as_dict()


def test_a_snapshot_sets_what_was_set() -> None:
    Settings.precision = 6
    Settings.tags = ["a"]
    snapshot = Settings.snapshot()
    assert repr(snapshot) == "Settings(precision=6, tags=['a'])"
    Settings.precision = 7
    Settings.locale = "de"
    with snapshot:
        assert (Settings.precision, Settings.tags, Settings.locale) == (6, ["a"], "de")
    assert Settings.precision == 7
    assert repr(in_new_context(Settings.snapshot)) == "Settings()"


def test_a_snapshot_is_taken_of_a_group_that_asks_for_more() -> None:
    class Strict(Settings):
        def __init__(self, required: int) -> None:
            raise NotImplementedError

    refuse = ctxvars.group_field(default=3, validate=positive)

    class Refusing(Strict):
        digits: int = refuse

    Refusing.variables["digits"].set(-1)
    try:
        with Refusing.snapshot():
            assert Refusing.digits == -1
    finally:
        del Refusing.digits


# Tasks, threads and generators


def test_tasks_and_threads_have_values_of_their_own() -> None:
    async def in_task(number: int) -> list[int]:
        seen = []
        with Settings(precision=number, locale=str(number)):
            for step in range(3):
                await asyncio.sleep(0)
                seen.append(Settings.precision)
                Settings.precision = number + step
        return [*seen, Settings.precision]

    async def main() -> list[list[int]]:
        return await asyncio.gather(*(in_task(number) for number in (100, 200)))

    assert asyncio.run(main()) == [[100, 100, 101, 28], [200, 200, 201, 28]]

    Settings.precision = 6
    with ThreadPoolExecutor(1) as pool:
        # Since 3.14 a thread may inherit the context; the copy is right on all.
        context = ctxvars.copy_context()
        assert pool.submit(context.run, lambda: Settings.precision).result() == 6
        assert pool.submit(in_new_context, lambda: Settings.precision).result() == 28


def test_a_snapshot_goes_to_other_threads() -> None:
    Settings.precision = 6
    snapshot = Settings.snapshot()
    seen: list[int] = []

    def read() -> None:
        with snapshot:
            seen.append(Settings.precision)
        seen.append(Settings.precision)

    for _ in range(2):
        thread = threading.Thread(target=in_new_context, args=(read,))
        thread.start()
        thread.join()
    assert seen == [6, 28, 6, 28]


def test_a_generator_that_is_closed_elsewhere_is_no_error() -> None:
    def body() -> Iterator[int]:
        with Settings(precision=6):
            yield Settings.precision

    generator = body()
    assert ctxvars.copy_context().run(next, generator) == 6
    generator.close()
    assert Settings.precision == 28


# The collector


def used(value: Value) -> weakref.ref[Any]:
    """Make a group whose parts refer to the value, and let the value refer to them."""

    def check(it: Value) -> None:
        assert it is value

    class Dropped(ctxvars.Group):
        needed: Any
        given: Any = ctxvars.group_field(default=value, validate=check)
        made: Any = ctxvars.group_field(default_factory=lambda: value)

    value.refs += [Dropped, Dropped(needed=value)]
    with Dropped(needed=value, given=value):
        assert Dropped.made is Dropped.needed is value
        value.refs.append(Dropped.snapshot())
    Dropped.needed = value
    return weakref.ref(Dropped)


@pytest.mark.parametrize("kept", ["value", "context", "nothing"])
def test_a_group_is_collected_with_its_variables(kept: str) -> None:
    value = Value()
    context = ctxvars.Context()
    weak = context.run(used, value), weakref.ref(value)
    if kept != "value":
        del value
    if kept != "context":
        del context
    gc.collect()
    assert all((it() is None) == (kept == "nothing") for it in weak)


def test_a_variable_outlives_its_group() -> None:
    class Dropped(ctxvars.Group):
        field: int = 1

    weak, variable = weakref.ref(Dropped), Dropped.variables["field"]
    del Dropped
    gc.collect()
    assert weak() is None
    assert variable.get() == 1


# The cost of the import


def test_importing_ctxvars_imports_nothing_costly() -> None:
    costly = {"asyncio", "dataclasses", "inspect", "logging", "threading"}
    code = (
        f"import sys; before = {{*sys.modules}}; import ctxvars; ctxvars.Group; "
        f"print(sorted({costly} & {{*sys.modules}} - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
