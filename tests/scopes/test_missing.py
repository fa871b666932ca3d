"""Empty scopes, and scopes that unset variables."""

from __future__ import annotations

import contextvars
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, ContextVar, Map, Scope, scope
from tests.support.gc.values import Value

ONE: ContextVar[Any] = ContextVar("one", default="default")
TWO: ContextVar[Any] = ContextVar("two")
MARKS = [
    pytest.param(MISSING, id="ctxvars.MISSING"),
    pytest.param(contextvars.Token.MISSING, id="contextvars.Token.MISSING"),
]


def now() -> Map[ContextVar[Any], Any]:
    return ctxvars.copy_context().bindings


def of_these(variables: Map[ContextVar[Any], Any]) -> dict[ContextVar[Any], Any]:
    """Return the values of the variables of this module only."""
    return {variable: variables[variable] for variable in (ONE, TWO) if variable in variables}


def as_scope_of_one(mark: Any) -> Scope:
    return ONE.scope(mark)


def as_scope(mark: Any) -> Scope:
    return scope({ONE: mark})


def as_last_of_two(mark: Any) -> Scope:
    return scope([(ONE, "set"), (ONE, mark)])


TAKES_AWAY = [as_scope_of_one, as_scope, as_last_of_two]


@pytest.fixture(autouse=True)
def _own_values() -> Iterator[None]:
    yield
    for variable in (ONE, TWO):
        if variable.is_set():
            variable.delete()


@pytest.mark.parametrize("values", [{}, (), iter(()), Map()], ids=lambda it: type(it).__name__)
@pytest.mark.parametrize("strict", [False, True])
def test_a_scope_of_nothing_sets_nothing(values: Any, strict: bool) -> None:
    ONE.set(1)
    before, native = now(), contextvars.copy_context()
    with scope(values, strict=strict) as empty:
        assert now() is before
        assert contextvars.copy_context() == native
        TWO.set(2)
        with pytest.raises(RuntimeError, match="is entered already"):
            empty.__enter__()
    assert of_these(now()) == {ONE: 1, TWO: 2}
    with pytest.raises(RuntimeError, match="is not entered"):
        empty.__exit__(None, None, None)
    with empty:
        pass


def test_a_scope_of_nothing_leaves_another_context_alone() -> None:
    empty, strict = scope({}), scope({}, strict=True)
    for it in (empty, strict):
        ctxvars.Context().run(it.__enter__)
    empty.__exit__(None, None, None)
    with pytest.raises(ValueError, match="was entered in a different Context"):
        strict.__exit__(None, None, None)
    assert of_these(now()) == {}


@pytest.mark.parametrize("make", TAKES_AWAY)
@pytest.mark.parametrize("mark", MARKS)
def test_a_value_is_taken_away_for_a_block(make: Callable[[Any], Scope], mark: Any) -> None:
    for before in ({}, {ONE: 1}, {ONE: 1, TWO: 2}):
        with scope(before):
            with make(mark):
                assert not ONE.is_set()
                assert ONE.get() == "default"
                assert TWO.get(None) == before.get(TWO)
            assert of_these(now()) == before
            with pytest.raises(ZeroDivisionError), make(mark):
                ONE.set(ONE.set("set by the body") and 1 / 0)
            assert of_these(now()) == before


@pytest.mark.parametrize("mark", MARKS)
def test_values_are_set_and_taken_away_in_one_step(mark: Any) -> None:
    with scope({ONE: 1}), scope({ONE: mark, TWO: 2}):
        assert of_these(now()) == {TWO: 2}
        with scope([(TWO, mark), (TWO, 3), (ONE, 4), (ONE, mark)]):
            assert of_these(now()) == {TWO: 3}
        assert of_these(now()) == {TWO: 2}
    assert of_these(now()) == {}


@pytest.mark.parametrize("mark", MARKS)
def test_a_value_that_was_taken_away_is_not_brought_to_another_context(mark: Any) -> None:
    """A variable without a value in another context was not unset by the scope."""
    ONE.set(1)
    both = scope({ONE: mark, TWO: 2})
    elsewhere = ctxvars.Context()
    inside = ctxvars.copy_context()
    inside.run(both.__enter__)
    copied = inside.copy()
    elsewhere.run(both.__exit__, None, None, None)
    assert of_these(elsewhere.bindings) == {}
    assert of_these(copied.bindings) == {TWO: 2}
    inside = ctxvars.copy_context()
    inside.run(both.__enter__)
    copied = inside.copy()
    copied.run(both.__exit__, None, None, None)
    assert of_these(copied.bindings) == {}
    assert of_these(now()) == {ONE: 1}


def test_set_takes_missing_as_a_value() -> None:
    ONE.set(MISSING)
    assert ONE.get() is MISSING
    # MISSING as a key is refused.
    with pytest.raises(TypeError, match="must have context variables as keys"):
        scope({MISSING: 1})


def test_whether_a_scope_is_entered() -> None:
    it = ONE.scope(1)
    assert it.is_entered is False
    with it:
        assert it.is_entered is True
        assert ctxvars.Context().run(lambda: it.is_entered)
    assert it.is_entered is False
    with pytest.raises(AttributeError):
        it.is_entered = True  # type: ignore[misc]


def test_a_scope_without_a_value_is_collected() -> None:
    value = Value()
    variable: ContextVar[Any] = ContextVar("in a cycle", default=value)
    value.refs.append(scope({variable: MISSING, TWO: value}))
    value.refs.append(variable.scope(MISSING))
    gone = weakref.ref(value)
    del value, variable
    gc.collect()
    assert gone() is None


# Groups


class Request(ctxvars.Group):
    tenant: str = ctxvars.group_field(validate=lambda value: value[0])
    user: str = "nobody"


@pytest.mark.parametrize("mark", MARKS)
def test_an_instance_of_a_group_takes_fields_away(mark: Any) -> None:
    with Request(tenant="acme", user="Ada"), Request(tenant=mark, user=mark) as fresh:
        assert not hasattr(Request, "tenant")
        assert Request.user == "nobody"
        with pytest.raises(RuntimeError, match="is entered already"):
            fresh.__enter__()
    assert Request.as_dict() == {"user": "nobody"}


def test_an_instance_that_takes_a_field_away_is_pickled() -> None:
    fresh = pickle.loads(pickle.dumps(Request(tenant=MISSING)))
    with Request(tenant="acme"):
        with fresh:
            assert not Request.variables["tenant"].is_set()
        assert Request.tenant == "acme"
