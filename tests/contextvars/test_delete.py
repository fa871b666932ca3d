"""`ContextVar.is_set` and `ContextVar.delete`."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxvars import MISSING, Context, ContextVar, Token, copy_context
from tests.support.gc.values import SetsWhenFreed
from tests.support.new_context import in_a_new_context


@in_a_new_context
def test_is_set_reports_values_and_not_defaults() -> None:
    variable = ContextVar("v", default=1)
    assert variable.is_set() is False
    token = variable.set(1)
    assert variable.is_set() is True
    assert not Context().run(variable.is_set)
    assert copy_context().run(variable.is_set)
    variable.reset(token)
    assert not variable.is_set()
    # Right after a lookup in another context, whose result the variable caches.
    other = Context()
    other.run(variable.set, 2)
    assert [other.run(variable.is_set), variable.is_set()] * 2 == [True, False] * 2
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(variable.is_set()))
    thread.start()
    thread.join()
    assert found == [False]


@in_a_new_context
def test_a_deleted_value_comes_back_with_the_token() -> None:
    variable, other = ContextVar("v", default="default"), ContextVar[int]("other")
    variable.set("value")
    token = variable.delete()
    assert type(token) is Token
    assert token.var is variable
    assert token.old_value == "value"
    assert variable.get() == "default"
    assert variable.get("argument") == "argument"
    assert variable not in copy_context()
    assert len(copy_context()) == 0
    other.set(1)  # so that a reset must do more than restore the old bindings
    variable.reset(token)
    assert (variable.get(), other.get()) == ("value", 1)
    with pytest.raises(RuntimeError, match="has already been used once"):
        variable.reset(token)
    with variable.delete():
        assert not variable.is_set()
    assert variable.get() == "value"


@in_a_new_context
def test_only_a_value_can_be_deleted() -> None:
    variable = ContextVar("v", default=1)
    for _ in range(2):
        with pytest.raises(LookupError) as raised:
            variable.delete()
        assert raised.value.args == (variable,)
        assert type(raised.value) is LookupError
    variable.set(1)
    variable.delete()
    with pytest.raises(LookupError):
        variable.delete()
    with pytest.raises(TypeError):
        variable.delete(1)  # type: ignore[call-arg]


@in_a_new_context
def test_tokens_of_deletions_follow_the_rules_of_tokens() -> None:
    variable, other = ContextVar[int]("v"), ContextVar[int]("other")
    variable.set(1)
    token = variable.delete()
    with pytest.raises(ValueError, match="different ContextVar"):
        other.reset(token)
    with pytest.raises(ValueError, match="different Context"):
        copy_context().run(variable.reset, token)
    assert not variable.is_set()
    variable.reset(token)
    # A reset with an older token removes the value that a newer one restored.
    first = variable.set(2)
    second = variable.delete()
    variable.reset(first)
    assert variable.get() == 1
    variable.reset(second)
    assert variable.get() == 2


@in_a_new_context
def test_copies_keep_what_is_deleted_elsewhere() -> None:
    variable = ContextVar[int]("v")
    variable.set(1)
    copy = copy_context()
    variable.delete()
    assert copy[variable] == 1
    copy.run(variable.delete)
    assert variable not in copy


@in_a_new_context
def test_finalisers_run_when_the_value_is_gone() -> None:
    variable, other = ContextVar[Any]("v"), ContextVar[Any]("other")
    variable.set(SetsWhenFreed(variable))
    token = variable.delete()
    assert not variable.is_set()
    other.set(1)
    del token
    assert variable.get() == "set by a finaliser"
    assert other.get() == 1


@in_a_new_context
def test_references_are_balanced() -> None:
    variable, unset, value = ContextVar[object]("v"), ContextVar[object]("unset"), object()
    counts = [sys.getrefcount(it) for it in (variable, unset, value)]
    for _ in range(100):
        variable.set(value)
        token = variable.delete()
        variable.reset(token)
        variable.delete()
        with pytest.raises(LookupError):
            unset.delete()
    del token
    gc.collect()
    assert [sys.getrefcount(it) for it in (variable, unset, value)] == counts


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["set", "delete", "reset"]))))
def test_random_deletions(steps: list[tuple[int, str]]) -> None:
    variables = [ContextVar[object](f"v{number}") for number in range(31)]
    model: dict[int, object] = {}
    tokens: list[tuple[int, Token[object], object]] = []

    def inside() -> None:
        for number, what in steps:
            variable = variables[number]
            if what == "set":
                value, old = object(), model.get(number, MISSING)
                tokens.append((number, variable.set(value), old))
                model[number] = value
            elif what == "delete" and number in model:
                tokens.append((number, variable.delete(), model.pop(number)))
            elif what == "reset" and tokens:
                number, token, old = tokens.pop(number % len(tokens))
                variables[number].reset(token)
                model.pop(number, None)
                if old is not MISSING:
                    model[number] = old
            assert copy_context().bindings == {variables[key]: model[key] for key in model}
            for number, variable in enumerate(variables):
                assert variable.is_set() == (number in model)
                assert variable.get(None) is model.get(number)

    Context().run(inside)
