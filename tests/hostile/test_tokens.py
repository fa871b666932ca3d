"""Tokens that are used twice, elsewhere, or by another variable."""

from __future__ import annotations

import contextvars
import gc
import threading
from collections.abc import Callable
from types import ModuleType

import pytest

import ctxvars
from tests.support.parity import assert_same, attempt, snapshot


def test_token_checks_come_in_order() -> None:
    def use(module: ModuleType) -> list[str]:
        variable, other = module.ContextVar("v"), module.ContextVar("other")
        elsewhere = module.Context()
        outcomes: list[str] = []

        def note(*calls: Callable[[], object]) -> None:
            outcomes.extend(attempt(call) for call in calls)
            outcomes.append(repr(sorted(snapshot(module.copy_context()).items())))

        variable.set(1)
        token = variable.set(2)
        # Another variable and another context: the error is about the variable.
        note(lambda: elsewhere.run(other.reset, token), lambda: other.reset(token))
        note(lambda: elsewhere.run(variable.reset, token))
        note(lambda: module.copy_context().run(variable.reset, token))
        note(lambda: variable.reset(token))
        # The token is used, and is wrong in all other ways, too.
        note(lambda: variable.reset(token), lambda: other.reset(token))
        note(lambda: elsewhere.run(other.reset, token), lambda: repr(token), lambda: token.var)
        # A failed reset does not use the token.
        second = variable.set(3)
        note(lambda: elsewhere.run(variable.reset, second), lambda: other.reset(second))
        note(lambda: variable.reset(second))
        # Out of order.
        tokens = [variable.set(number) for number in range(4)]
        note(*(lambda token=token: variable.reset(token) for token in (tokens[0], tokens[2])))
        note(*(lambda token=token: variable.reset(token) for token in (tokens[3], tokens[1])))
        note(lambda: variable.reset(tokens[1]))
        return outcomes

    assert_same(use)


def test_token_of_a_context_that_is_gone() -> None:
    def use(module: ModuleType) -> list[str]:
        variable = module.ContextVar("v")
        token = module.Context().run(variable.set, 1)
        gc.collect()
        outcomes = [attempt(module.Context().run, variable.reset, token) for _ in range(3)]
        return [*outcomes, repr(token.old_value), repr(token.var is variable)]

    assert_same(use)


def test_token_in_another_thread() -> None:
    def use(module: ModuleType) -> list[str]:
        variable = module.ContextVar("v")
        token = variable.set(1)
        outcomes: list[str] = []

        def reset() -> None:
            outcomes.append(attempt(variable.reset, token))
            outcomes.append(attempt(variable.get))
            outcomes.append(attempt(module.copy_context().run, variable.reset, token))

        thread = threading.Thread(target=contextvars.Context().run, args=(reset,))
        thread.start()
        thread.join()
        outcomes.append(attempt(variable.reset, token))
        return outcomes

    assert_same(use)


def test_token_of_the_other_module_is_refused() -> None:
    native, ours = contextvars.ContextVar[int]("v"), ctxvars.ContextVar[int]("v")
    for variable, token in ((native, ours.set(1)), (ours, native.set(1))):
        with pytest.raises(TypeError, match="expected an instance of Token"):
            variable.reset(token)
