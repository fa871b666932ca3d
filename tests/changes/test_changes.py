"""`changes_since`: the changes since a context was copied, and applying them to another one."""

from __future__ import annotations

import contextvars as native
import gc
import weakref
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, Change, Changes, Context, ContextVar, Map, MergeConflict
from tests.support.gc.values import Value
from tests.support.new_context import current, in_a_new_context, in_new_context

A, B, C, D = (ContextVar[Any](name) for name in "abcd")


def set_all(**values: object) -> None:
    for variable in (A, B, C, D):
        if variable.name in values:
            variable.set(values[variable.name])


def since(base: Context, **values: object) -> Changes:
    """Return the changes of a copy of `base` in which `values` are set."""

    def change() -> Changes:
        set_all(**values)
        return ctxvars.changes_since(base)

    return base.copy().run(change)


@in_a_new_context
def test_changes_list_set_and_reset_variables() -> None:
    token = A.set("a")
    set_all(b="b", c="c")
    before = ctxvars.copy_context()
    assert list(ctxvars.changes_since(before)) == []
    set_all(b="changed", d="added")
    A.reset(token)
    changes = ctxvars.changes_since(before)
    expected = {
        Change(A, "a", MISSING),
        Change(B, "b", "changed"),
        Change(D, MISSING, "added"),
    }
    assert set(changes) == expected
    assert (len(changes), bool(changes)) == (3, True)
    assert changes.to_diff() == before.diff(ctxvars.copy_context())
    assert changes.to_diff() is changes.to_diff()
    assert repr(changes) == f"<ctxvars.Changes {changes.to_diff()!r}>"
    # The changes stay those of that time.
    set_all(c="later")
    assert set(changes) == expected


@in_a_new_context
def test_without_a_change_the_changes_are_empty() -> None:
    set_all(a="a")
    changes = ctxvars.changes_since(ctxvars.copy_context())
    assert (len(changes), bool(changes), [*changes]) == (0, False, [])
    changes.apply()
    assert current() == {"a": "a"}


class NeverCompared:
    """A value whose comparison fails."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    __hash__ = None  # type: ignore[assignment]


@in_a_new_context
def test_an_equal_object_is_a_change_and_the_same_object_is_not() -> None:
    one, same = [1], NeverCompared()
    A.set(one)
    B.set(same)
    C.set(old := NeverCompared())
    before = ctxvars.snapshot()
    A.set(equal := [1])
    B.set(same)
    C.set(new := NeverCompared())
    changes = ctxvars.changes_since(before)
    assert (len(changes), bool(changes)) == (2, True)
    assert changes.to_diff().changed[A][0] is one
    assert changes.to_diff().changed[A][1] is equal
    found = {change.key: change for change in changes}
    assert found.keys() == {A, C}
    assert (found[C].old is old, found[C].new is new) == (True, True)
    # `Context.diff` compares values as maps do.
    C.set(old)
    assert before.run(ctxvars.copy_context).diff(ctxvars.copy_context()).changed == {}


@in_a_new_context
def test_a_variable_that_is_set_back_is_not_a_change() -> None:
    A.set(value := NeverCompared())
    before = ctxvars.snapshot()
    B.set("b")
    B.delete()
    A.set("a")
    A.set(value)
    changes = ctxvars.changes_since(before)
    assert (len(changes), bool(changes), [*changes]) == (0, False, [])


@in_a_new_context
def test_changes_are_counted_from_any_kind_of_context() -> None:
    befores = [ctxvars.snapshot(), ctxvars.copy_context(), native.copy_context()]
    set_all(a="a")
    for before in befores:
        assert list(ctxvars.changes_since(before)) == [Change(A, MISSING, "a")]


@in_a_new_context
def test_changes_are_applied_to_what_has_changed_meanwhile() -> None:
    set_all(a="a", b="b")
    base = ctxvars.copy_context()
    changes = since(base, a="changed", c="added")
    set_all(b="ours", d="ours")
    changes.apply()
    assert current() == {"a": "changed", "b": "ours", "c": "added", "d": "ours"}
    changes.apply()
    assert current() == {"a": "changed", "b": "ours", "c": "added", "d": "ours"}


@in_a_new_context
def test_a_reset_is_a_change_that_resets() -> None:
    token = A.set("a")
    base = ctxvars.copy_context()
    A.reset(token)
    changes = ctxvars.changes_since(base)
    A.set(base[A])
    changes.apply()
    assert current() == {}
    assert A.get("unset") == "unset"


@in_a_new_context
def test_conflicts_are_refused_together_or_resolved() -> None:
    set_all(a="base", b="base")
    base = ctxvars.copy_context()
    changes = since(base, a="theirs", b="theirs", c="theirs", d="theirs")
    set_all(a="ours", c="ours")
    before = current()
    with pytest.raises(MergeConflict, match="2 keys were changed in different ways") as raised:
        changes.apply()
    conflicts = {conflict.key: conflict[1:] for conflict in raised.value.conflicts}
    assert conflicts == {A: ("base", "ours", "theirs"), C: (MISSING, "ours", "theirs")}
    assert current() == before

    asked: list[tuple[Any, ...]] = []

    def resolve(*conflict: Any) -> object:
        asked.append(conflict)
        return MISSING if conflict[0] is C else "resolved"

    changes.apply(resolve=resolve)
    assert set(asked) == {(A, "base", "ours", "theirs"), (C, MISSING, "ours", "theirs")}
    assert current() == {"a": "resolved", "b": "theirs", "d": "theirs"}


@in_a_new_context
def test_a_resolver_that_raises_changes_nothing() -> None:
    base = ctxvars.copy_context()
    changes = since(base, a="theirs", b="theirs")
    set_all(a="ours")
    with pytest.raises(ZeroDivisionError):
        changes.apply(resolve=lambda *_: 1 / 0)
    assert current() == {"a": "ours"}


@in_a_new_context
def test_a_value_that_was_replaced_by_an_equal_one_is_applied() -> None:
    first, second = [1], [1]
    set_all(a=first)
    changes = since(ctxvars.copy_context(), a=second)
    assert changes
    changes.apply()
    assert A.get() is second


@in_a_new_context
def test_changes_are_applied_in_any_context() -> None:
    """In a context with another origin, there may be conflicts."""
    changes = since(Context(), a="theirs")
    elsewhere = Context()
    elsewhere.run(changes.apply)
    assert elsewhere[A] == "theirs"
    assert current() == {}
    other = Context()
    other.run(A.set, "ours")
    with pytest.raises(MergeConflict):
        other.run(changes.apply)


@in_a_new_context
def test_bad_input_is_refused() -> None:
    for wrong in (None, {}, Map(), A):
        message = r"^changes_since\(\) argument 'snapshot' must be a Snapshot or a Context, "
        with pytest.raises(TypeError, match=message):
            ctxvars.changes_since(wrong)  # type: ignore[arg-type]
    changes = since(Context(), a="a")
    message = r"^apply\(\) argument 'resolve' must be callable, got 5$"
    with pytest.raises(TypeError, match=message):
        changes.apply(resolve=5)  # type: ignore[arg-type]
    assert current() == {}


def test_cycles_through_changes_are_collected() -> None:
    def make() -> weakref.ref[Value]:
        value: Any = Value()
        base = ctxvars.copy_context()
        A.set(value)
        value.changes = ctxvars.changes_since(base)
        assert len(value.changes) == 1
        return weakref.ref(value)

    reference = in_new_context(make)
    gc.collect()
    assert reference() is None


class Counting:
    """Counts the comparisons of all instances."""

    count = 0

    def __eq__(self, other: object) -> bool:
        Counting.count += 1
        return self is other

    __hash__ = None  # type: ignore[assignment]


@in_a_new_context
def test_only_what_changed_is_looked_at() -> None:
    variables = [ContextVar[Any](f"v{number}") for number in range(1000)]
    for variable in variables:
        variable.set(Counting())
    before = ctxvars.copy_context()
    for variable in variables[:3]:
        variable.set(Counting())
    changes = ctxvars.changes_since(before)
    Counting.count = 0
    before.run(changes.apply)
    assert len(changes) == 3
    assert Counting.count == 0
