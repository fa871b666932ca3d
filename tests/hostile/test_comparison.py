"""Comparing contexts whose values misbehave while they are compared."""

from __future__ import annotations

import contextvars
import gc
import importlib
import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support.parity import assert_same, attempt, normalised, snapshot
from tests.support.subprocesses import in_subprocess


def pair(module: ModuleType, size: int, make: Callable[[], object]) -> tuple[Any, Any, Any]:
    """Return two contexts with `size` variables, and the one variable whose values differ."""
    one, other = module.Context(), module.Context()
    variables = [module.ContextVar(f"v{number}") for number in range(size)]
    for number, variable in enumerate(variables):
        one.run(variable.set, number)
        other.run(variable.set, number)
    one.run(variables[0].set, make())
    other.run(variables[0].set, make())
    return one, other, variables[0]


class NoBool:
    def __bool__(self) -> bool:
        raise ArithmeticError("no truth")


def raising(self: object, other: object) -> bool:
    raise OSError("not comparable")


EQUALITIES: dict[str, Callable[[object, object], object]] = {
    "raises": raising,
    "true": lambda self, other: True,
    "false": lambda self, other: False,
    "no bool": lambda self, other: NoBool(),
    "text": lambda self, other: "yes",
    "empty": lambda self, other: [],
    "not implemented": lambda self, other: NotImplemented,
    "recursion": lambda self, other: self == other,
}


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("equality", EQUALITIES)
def test_compare_values_whose_equality_is(equality: str, size: int) -> None:
    odd = type("Odd", (), {"__eq__": EQUALITIES[equality], "__hash__": None})

    def compare(module: ModuleType) -> list[str]:
        one, other, variable = pair(module, size, odd)
        outcomes = [attempt(function, one, other) for function in (operator.eq, operator.ne)]
        outcomes.append(attempt(operator.eq, one, one.copy()))
        outcomes.append(attempt(lambda: one.copy() == other))
        # Endless recursion can be detected by several checks, even within one interpreter.
        outcomes = [outcome.removesuffix(" in comparison") for outcome in outcomes]
        return [*outcomes, str(type(one[variable]) is odd and len(one) == len(other) == size)]

    assert_same(compare)


def meddle(module: ModuleType, way: str, size: int) -> list[str]:
    """Compare two contexts whose values change the contexts meanwhile (gh-142829)."""
    calls: list[int] = []
    contexts: list[Any] = []

    class Meddler:
        def __eq__(self, other: object) -> bool:
            calls.append(1)
            if way == "sets":
                for context in contexts:
                    for changed in list(context):
                        context.run(changed.set, None)
            elif way == "drops":
                contexts.clear()
                gc.collect()
            elif way == "sets in others":
                module.Context().run(variable.set, 1)
                contexts[0].copy().run(variable.set, 1)
            elif way == "compares":
                if len(calls) < 5:
                    return bool(contexts[0] == contexts[1])
            elif way == "iterates":
                list(contexts[0].items())
            elif way == "drops and raises":
                contexts.clear()
                raise OSError("gone")
            return True

        __hash__ = None  # type: ignore[assignment]

    *made, variable = pair(module, size, Meddler)
    contexts += made
    made.clear()
    outcome = attempt(lambda: contexts[0] == contexts[1])
    left = [normalised(repr(sorted(snapshot(context).items()))) for context in contexts]
    return [outcome, str(len(calls)), *left]


def meddle_with(name: str, way: str, size: int) -> list[str]:
    return contextvars.Context().run(meddle, importlib.import_module(name), way, size)


WAYS = ["sets", "drops", "sets in others", "compares", "iterates", "drops and raises"]


@pytest.mark.parametrize("way", WAYS)
def test_values_that_meddle_while_compared(way: str) -> None:
    for size in (1, 100):
        ours = in_subprocess(meddle_with, "ctxvars", way, size)
        if way in ("sets", "drops", "drops and raises"):
            # The standard library may crash here, or compare other values from then on.
            assert ours[0] == ("raised OSError: gone" if "raises" in way else "returned True")
        else:
            assert ours == in_subprocess(meddle_with, "contextvars", way, size)


def test_contexts_of_different_shape_are_compared_without_user_code() -> None:
    odd = type("Odd", (), {"__eq__": raising, "__hash__": None})

    def compare(module: ModuleType) -> list[str]:
        one, other, _ = pair(module, 20, odd)
        other.run(module.ContextVar("more").set, 1)
        return [attempt(operator.eq, one, other), attempt(operator.ne, one, other)]

    assert assert_same(compare) == ["returned False", "returned True"]
