"""The collector may run at any time, be disabled, or have frozen objects."""

from __future__ import annotations

import gc
import weakref

import pytest

from ctxvars import Context, ContextVar, copy_context
from tests.support.gc.contexts import filled, holding
from tests.support.gc.values import Value
from tests.support.subprocesses import in_subprocess

pytestmark = pytest.mark.usefixtures("only_new_objects")


def collect_all_the_time() -> tuple[int, int, int]:
    """Set variables in finalisers and weakref callbacks, with a collection at each allocation.

    Return the number of their calls, the number recorded in the outer context, and how many other
    updates were lost.
    """
    gc.set_threshold(1, 1, 1)
    recorded = ContextVar("recorded", default=0)
    variables = [ContextVar[object](f"v{number}") for number in range(40)]
    noise = [ContextVar[object](f"noise {number}") for number in range(40)]
    happened = 0
    lost = 0

    def happen(_: object = None) -> None:
        nonlocal happened
        happened += 1
        recorded.set(recorded.get() + 1)
        noise[happened % 40].set([happened])
        holding(copy_context(), noise[0], Context())

    class Garbage:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            happen()

    def inside() -> None:
        nonlocal lost
        weak = []
        for number in range(3_000):
            Garbage()
            value = Value()
            value.refs = [value]
            weak.append(weakref.ref(value, happen))
            del value
            variable, marker = variables[number % 40], [number]
            token = variable.set(marker)
            lost += variable.get() is not marker
            if number % 2:
                variable.reset(token)
                lost += variable.get(None) is marker
        gc.collect()
        lost += recorded.get() != happened

    Context().run(inside)
    return happened, recorded.get(), lost


def test_collector_that_runs_inside_operations() -> None:
    # The native module crashes here until 3.12, where an allocation can run the collector.
    happened, outside, lost = in_subprocess(collect_all_the_time)
    assert happened >= 6_000
    assert outside == 0
    assert lost == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_stays_as_enabled_as_it_was(enabled: bool) -> None:
    variable, other = ContextVar[object]("v"), ContextVar[int]("other")
    seen = []

    class Finalised:
        def __del__(self) -> None:
            seen.append(gc.isenabled())

    def inside() -> None:
        token = variable.set(Finalised())
        other.set(1)
        variable.reset(token)
        seen.append(gc.isenabled())
        variable.reset(variable.set(Finalised()))
        seen.append(gc.isenabled())
        with pytest.raises(RuntimeError):
            variable.reset(token)
        seen.append(gc.isenabled())

    try:
        if not enabled:
            gc.disable()
        Context().run(inside)
    finally:
        gc.enable()
    assert seen == [enabled] * 5


def test_disabling_the_collector_in_a_finaliser_holds() -> None:
    variable = ContextVar[object]("v")

    class Disables:
        def __del__(self) -> None:
            gc.disable()

    def inside() -> bool:
        variable.reset(variable.set(Disables()))
        return gc.isenabled()

    try:
        assert not Context().run(inside)
    finally:
        gc.enable()


def test_disabled_collector_still_frees_what_is_not_in_a_cycle() -> None:
    gc.disable()
    try:
        value, context = Value(), filled(100, Value)
        weak = weakref.ref(value)
        token = context.run(ContextVar[object]("v").set, value)
        items = context.items()
        del value, token, items
        assert weak() is not None
        del context
        assert weak() is None
    finally:
        gc.enable()


def test_frozen_objects_are_collected_after_unfreezing() -> None:
    variable = ContextVar[Value]("v")
    value, context = Value(1), filled(100, Value)
    holding(context, variable, value)
    value.refs = [context]
    weak = weakref.ref(value)
    gc.freeze()
    try:
        copied = context.copy()
        holding(copied, variable, Value(2))
        copied_value = weakref.ref(copied[variable])
        del value, context
        gc.collect()
        assert weak() is not None, "the permanent generation is not collected"
        del copied
        assert copied_value() is None
    finally:
        gc.unfreeze()
    gc.collect()
    assert weak() is None
