"""Groups and their variables are copied and pickled by reference, instances by their values."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, Group

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Settings(Group):
    precision: int = 28
    locale: str

    class Nested(Group):
        precision: int = 1


class Derived(Settings):
    locale: str
    extra: Any = None


class Mixed(Derived, Settings.Nested):
    precision: int = 2


VARIABLES = [
    variable
    for group in (Settings, Settings.Nested, Derived, Mixed)
    for variable in group.variables.values()
]
NOT_PICKLED = r"^cannot pickle 'ctxvars\.ContextVar' object$"
COPIES: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy]


def pickled(it: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(it, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_variables_are_pickled_by_reference(protocol: int) -> None:
    for variable in VARIABLES:
        assert pickled(variable, protocol) is variable
    assert pickled(VARIABLES, protocol) == VARIABLES
    assert pickled(Settings, protocol) is Settings
    assert pickled(Settings.Nested, max(protocol, 4)) is Settings.Nested


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_a_variable_is_itself(copied: Callable[[Any], Any]) -> None:
    class Local(Group):
        value: list[int] = ctxvars.group_field(default_factory=list)

    for variable in (*VARIABLES, Local.variables["value"]):
        assert copied(variable) is variable
    assert copied(Local) is Local


def test_a_variable_of_a_local_group_is_not_pickled() -> None:
    class Local(Group):
        value: int = 1

    with pytest.raises((AttributeError, pickle.PicklingError), match="local object"):
        pickle.dumps(Local.variables["value"])


def variable_of_a_dropped_group() -> ContextVar[int]:
    class Dropped(Group):
        value: int = 1

    return Dropped.variables["value"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ContextVar("plain"),
        lambda: ContextVar(Settings.variables["precision"].name),
        variable_of_a_dropped_group,
    ],
    ids=["plain", "of the same name", "without a group"],
)
def test_no_other_variable_is_copied(make: Callable[[], ContextVar[Any]]) -> None:
    variable = make()
    gc.collect()
    for protocol in PROTOCOLS:
        with pytest.raises(TypeError, match=NOT_PICKLED):
            pickle.dumps(variable, protocol)
    for copied in COPIES:
        with pytest.raises(TypeError, match=NOT_PICKLED):
            copied(variable)


@pytest.mark.parametrize("copied", [*COPIES, pickled])
def test_a_copy_of_an_instance_has_its_values_and_is_not_entered(
    copied: Callable[[Any], Any],
) -> None:
    with Settings(precision=6, locale="de") as settings:
        settings.own = [1]
        Settings.precision = 7
        copy_of_it = copied(settings)
        with copy_of_it:
            assert (Settings.precision, copy_of_it.own) == (6, [1])
        assert Settings.precision == 7
    assert type(copy_of_it) is Settings
    assert repr(copy_of_it) == repr(settings)
    assert repr(copied(Settings())) == "Settings()"


def of_another_process(variable: ContextVar[int], settings: Settings) -> tuple[Any, ...]:
    """Return the results of a process that these were sent to."""
    is_ours = variable is Settings.variables["precision"]
    with settings:
        return is_ours, variable, Settings.precision, variable.get()


def test_a_variable_is_the_same_in_another_process() -> None:
    variable = Settings.variables["precision"]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        sent = pool.submit(of_another_process, variable, Settings(precision=6))
        assert sent.result() == (True, variable, 6, 6)
