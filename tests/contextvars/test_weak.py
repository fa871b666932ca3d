"""`ContextVar(name, weak=True)`: a variable that does not keep its values alive."""

from __future__ import annotations

import contextvars
import gc
import pickle
import weakref
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, Context, ContextVar, Token, copy_context
from tests.support.new_context import in_a_new_context


class Value:
    pass


def weak() -> ContextVar[Value]:
    return ContextVar("weak", weak=True)


@in_a_new_context
def test_a_value_is_there_as_long_as_other_code_keeps_it() -> None:
    variable, value = weak(), Value()
    variable.set(value)
    for _ in range(3):
        assert variable.get() is value
        assert variable.get(None) is value
    assert variable.is_set()
    del value
    gc.collect()
    assert variable.get(None) is None
    assert not variable.is_set()
    with pytest.raises(LookupError) as raised:
        variable.get()
    assert raised.value.args == (variable,)


@in_a_new_context
def test_after_its_value_has_gone_the_default_counts() -> None:
    default = Value()
    variable = ContextVar("weak", default=default, weak=True)
    assert variable.get() is default
    value = Value()
    variable.set(value)
    assert variable.get() is value
    del value
    assert variable.get() is default


@in_a_new_context
def test_a_value_that_is_set_after_another_has_gone() -> None:
    variable, first, second = weak(), Value(), Value()
    variable.set(first)
    assert variable.get() is first
    del first
    token = variable.set(second)
    assert variable.get() is second
    assert token.old_value is MISSING
    variable.reset(token)
    assert variable.get(None) is None
    variable.set(second)
    assert variable.get() is second


@in_a_new_context
def test_reset_restores_a_value_that_is_alive() -> None:
    variable, first, second = weak(), Value(), Value()
    variable.set(first)
    token = variable.set(second)
    assert token.old_value is first
    variable.reset(token)
    assert variable.get() is first
    deleted = variable.delete()
    assert deleted.old_value is first
    assert not variable.is_set()
    variable.reset(deleted)
    assert variable.get() is first
    del first
    token = variable.set(second)
    assert token.old_value is Token.MISSING


@in_a_new_context
def test_copies_of_a_context_do_not_keep_the_value() -> None:
    variable, value = weak(), Value()
    variable.set(value)
    contexts = [copy_context(), Context.wrap(contextvars.copy_context()), copy_context().copy()]
    for context in contexts:
        assert context[variable] is value
        assert context.get(variable) is value
        assert variable in context
        assert context.run(variable.get) is value
    reference = weakref.ref(value)
    del value
    assert reference() is None
    for context in contexts:
        assert variable not in context
        assert context.get(variable, "gone") == "gone"  # type: ignore[comparison-overlap]
        with pytest.raises(KeyError):
            context[variable]
        assert context.run(variable.get, None) is None


@in_a_new_context
def test_mappings_of_all_values_show_the_weak_reference() -> None:
    variable, value = weak(), Value()
    variable.set(value)
    context = copy_context()
    shown: list[Any] = [*context.values(), dict(context.items())[variable]]
    shown += [context.bindings[variable], ctxvars.snapshot().bindings[variable]]
    assert all(it == weakref.ref(value) for it in shown)
    assert context == copy_context()


@in_a_new_context
def test_scopes_do_not_keep_the_value() -> None:
    variable, other, value, before = weak(), ContextVar[int]("other"), Value(), Value()
    variable.set(before)
    for scope in (variable.scope(value), ctxvars.scope({variable: value, other: 1})):
        with scope:
            assert variable.get() is value
        assert variable.get() is before
    scope = variable.scope(value)
    reference = weakref.ref(value)
    del value
    assert reference() is None
    with scope:
        assert variable.get(None) is None
    with ctxvars.scope({variable: MISSING}):  # type: ignore[dict-item]
        assert variable.get(None) is None
    assert variable.get() is before


@in_a_new_context
@pytest.mark.parametrize("value", [1, "text", None, (), [], {}, object()])
def test_a_value_without_weak_references_is_refused(value: Any) -> None:
    variable, kept = weak(), Value()
    variable.set(kept)
    match = "^cannot set a weak variable to .*, to which there can be no weak references$"
    for refused in (variable.set, variable.scope, lambda it: ctxvars.scope({variable: it})):
        with pytest.raises(TypeError, match=match):
            refused(value)
    assert variable.get() is kept


def test_wrong_arguments_of_the_constructor() -> None:
    match = "^cannot specify both weak and default_factory: the default would be kept$"
    with pytest.raises(ValueError, match=match):
        ContextVar("v", weak=True, default_factory=Value)  # type: ignore[call-overload]

    class Bad:
        def __bool__(self) -> bool:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ContextVar("v", weak=Bad())  # type: ignore[call-overload]
    assert ContextVar("v", weak=False, default_factory=Value).get() is not None  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="keyword argument"):
        ContextVar("v", weak=True, week=True)  # type: ignore[call-overload]


@in_a_new_context
def test_changes_and_collected_changes_carry_the_weak_reference() -> None:
    variable, value = weak(), Value()
    before = copy_context()

    def change(value: Value) -> ctxvars.Changes:
        variable.set(value)
        return ctxvars.changes_since(before)

    copy_context().run(change, value).apply()
    assert variable.get() is value
    del value
    assert variable.get(None) is None


@in_a_new_context
def test_a_value_that_refers_to_its_context_is_freed_at_once() -> None:
    # With a strong reference, this is a cycle that only the garbage collector breaks.
    class Request:
        context: Context

    gc.disable()
    try:
        variable = ContextVar[Request]("request", weak=True)
        request = Request()
        variable.set(request)
        request.context = copy_context()
        reference = weakref.ref(request)
        del request
        assert reference() is None
    finally:
        gc.enable()


@in_a_new_context
def test_isolated_bodies_and_live_ones_see_the_value() -> None:
    variable, value = weak(), Value()

    @ctxvars.isolated
    def body() -> Any:
        for _ in range(2):
            yield variable.get(None)

    @ctxvars.isolated(inherit="live")
    def live() -> Any:
        while True:
            yield variable.get(None)

    variable.set(value)
    assert [*body()] == [value, value]
    following = live()
    assert next(following) is value
    del value
    assert next(following) is None


def test_a_weak_variable_cannot_be_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(weak())
