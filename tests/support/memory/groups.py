"""Operations on groups that are repeated to show that memory does not grow."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import ctxvars
from ctxvars._core import VariableDescriptor
from tests.support.gc.values import Value
from tests.support.memory.contexts import BATCH, Shared, fail, fails
from tests.support.memory.growth import Workload


def refuse(value: object) -> None:
    if value == 0:
        raise ZeroDivisionError


class Settings(ctxvars.Group):
    unset: Any
    given: Any = None
    made: Any = ctxvars.group_field(default_factory=Value)
    failing: Any = ctxvars.group_field(default_factory=fail)
    checked: Any = ctxvars.group_field(default=1, validate=refuse)


def group_workloads() -> tuple[list[Workload], Shared]:
    """Workloads on groups: fields are set and restored."""
    value = Value()
    variable = Settings.variables["given"]
    reused = Settings(given=value, unset=value)

    def set_and_delete() -> None:
        Settings.given = value
        _ = Settings.given, reused.given
        del Settings.given

    def enter() -> None:
        with Settings(given=value, unset=value) as settings:
            _ = settings.unset

    def enter_again() -> None:
        with reused:
            Settings.given = None

    def snapshot() -> None:
        with reused:
            copy.copy(Settings.snapshot())

    def group_in_a_cycle() -> None:
        class Dropped(Settings):
            own: Any = value
            mine: Any = ctxvars.group_field(default_factory=list)

        Dropped.own = Dropped
        with Dropped(own=Dropped, unset=value):
            _ = Dropped.mine

    def groups_in_cycles() -> None:
        for _ in range(BATCH // 100):
            # A context keeps its variables alive.
            ctxvars.Context().run(group_in_a_cycle)
        gc.collect()

    def refused_group() -> None:
        type(Settings)("Refused", (Settings,), {"given": value, "own": value})

    workloads = [
        Workload("group: read", lambda: (Settings.given, reused.given)),
        Workload("group: read, no value", fails(LookupError, lambda: Settings.unset)),
        Workload("group: a default made", lambda: ctxvars.Context().run(lambda: Settings.made)),
        Workload("group: factory fails", fails(ZeroDivisionError, lambda: Settings.failing)),
        Workload("group: set, delete", set_and_delete),
        Workload("group: refused value", fails(ZeroDivisionError, setattr, Settings, "checked", 0)),
        Workload("group: refused instance", fails(ZeroDivisionError, lambda: Settings(checked=0))),
        Workload("group: unknown field", fails(TypeError, lambda: Settings(other=value))),
        Workload("group: enter", enter),
        Workload("group: enter again", enter_again),
        Workload("group: snapshot, copy", snapshot, 200_000),
        Workload("group: variables", lambda: Settings.variables, 200_000),
        Workload("group: pickle a variable", lambda: pickle.loads(pickle.dumps(variable)), 200_000),
        Workload("group: VariableDescriptor", lambda: VariableDescriptor(variable, LookupError)),
        Workload(
            "group: VariableDescriptor fails",
            fails(TypeError, VariableDescriptor, value, LookupError),
        ),
        Workload("groups in cycles, collected", groups_in_cycles, 10_000, per_call=BATCH // 100),
        Workload("group: refused class", fails(TypeError, refused_group), 20_000),
    ]
    shared: Shared = {
        "None": None,
        "the value": value,
        "a variable": variable,
        "a group": Settings,
        "VariableDescriptor": VariableDescriptor,
    }
    return workloads, shared
