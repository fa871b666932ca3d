"""Finalisers that use the variable or context whose value is being dropped."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support.parity import assert_same, attempt, snapshot

# Each function makes a value that only the current context refers to, and drops it.


def finalised_by_overwriting(module: ModuleType, variable: Any, make: type) -> None:
    variable.set(make())
    variable.set(None)


def finalised_by_overwriting_after_change(module: ModuleType, variable: Any, make: type) -> None:
    variable.set(make())
    module.ContextVar("later").set("kept")
    variable.set(None)


def finalised_by_reset(module: ModuleType, variable: Any, make: type) -> None:
    variable.reset(variable.set(make()))


def finalised_by_reset_after_change(module: ModuleType, variable: Any, make: type) -> None:
    token = variable.set(make())
    module.ContextVar("later").set("kept")
    variable.reset(token)


def finalised_by_reset_after_two(module: ModuleType, variable: Any, make: type) -> None:
    token = variable.set(None)
    variable.set(make())
    variable.reset(token)


def finalised_with_context(module: ModuleType, variable: Any, make: type) -> None:
    module.Context().run(variable.set, make())


def finalised_with_token(module: ModuleType, variable: Any, make: type) -> None:
    variable.set(make())
    token = variable.set(None)
    del token


FINALISED = [
    finalised_by_overwriting,
    finalised_by_overwriting_after_change,
    finalised_by_reset,
    finalised_by_reset_after_change,
    finalised_by_reset_after_two,
    finalised_with_context,
    finalised_with_token,
]


@pytest.mark.parametrize("how", ["sets", "sets itself", "runs", "resets", "copies", "raises"])
@pytest.mark.parametrize("size", [0, 100])
@pytest.mark.parametrize("drop", FINALISED, ids=lambda drop: drop.__name__)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_finalisers_may_use_variables_and_contexts(
    drop: Callable[..., None], size: int, how: str
) -> None:
    def use(module: ModuleType) -> list[object]:
        neighbours = [f"neighbour {number}" for number in range(size)]
        for name in neighbours:
            module.ContextVar(name).set([name])
        variable, other = module.ContextVar("v"), module.ContextVar("other", default="unset")
        earlier = module.ContextVar("earlier")
        token = earlier.set("set")
        seen: list[object] = []

        class Finalised:
            def __del__(self) -> None:
                seen.append(sorted(snapshot(module.copy_context())))
                if how == "sets":
                    other.set("by finaliser")
                elif how == "sets itself":
                    variable.set("by finaliser")
                elif how == "runs":
                    module.copy_context().run(other.set, 1)
                elif how == "resets":
                    earlier.reset(token)
                elif how == "copies":
                    seen.append(len(list(module.copy_context().items())))
                elif how == "raises":
                    raise OSError

        drop(module, variable, Finalised)
        gc.collect()
        after = snapshot(module.copy_context())
        # The values of the neighbours are lists, and do not matter.
        after = {name: value for name, value in after.items() if name not in neighbours}
        return [seen, after, other.get(), variable.get("unset"), attempt(earlier.reset, token)]

    outcome = assert_same(use)
    assert outcome[0]


def test_reset_of_the_same_token_in_a_finaliser() -> None:
    def use(module: ModuleType) -> list[object]:
        variable, other = module.ContextVar("v"), module.ContextVar("other")
        outcomes: list[object] = []

        class Finalised:
            def __del__(self) -> None:
                outcomes.append(attempt(variable.reset, tokens[0]))

        tokens = [variable.set(Finalised())]
        other.set(1)
        variable.reset(tokens[0])
        return [*outcomes, snapshot(module.copy_context()), attempt(variable.reset, tokens[0])]

    assert_same(use)
