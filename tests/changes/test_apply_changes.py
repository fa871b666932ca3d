"""`_core.apply_changes` sets in the current context what was set in another one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxvars import MISSING, Context, ContextVar, Map, MergeConflict, copy_context
from ctxvars._core import apply_changes, changed_bindings
from tests.support.new_context import in_a_new_context

VARIABLES = [ContextVar[Any](f"v{number}") for number in range(40)]
Bindings = Map[ContextVar[Any], Any]


def current() -> Bindings:
    return copy_context().bindings


def set_all(values: dict[int, object]) -> Bindings:
    """Set variables, by their numbers, and return the current context."""
    for number, value in values.items():
        VARIABLES[number].set(value)
    return current()


def changed(context: Context, values: dict[int, object]) -> Bindings:
    """Return a copy of the context in which variables are set."""
    return context.copy().run(set_all, values)


@in_a_new_context
def test_changes_of_a_copy_come_back() -> None:
    base = set_all({0: "a", 1: "b"})
    new = changed(copy_context(), {0: "changed", 2: "added"})
    VARIABLES[3].set("meanwhile")
    apply_changes(base, new, None)
    expected = {0: "changed", 1: "b", 2: "added", 3: "meanwhile"}
    assert current() == {VARIABLES[number]: value for number, value in expected.items()}
    assert [VARIABLES[number].get() for number in expected] == [*expected.values()]


@in_a_new_context
def test_a_variable_that_was_reset_is_unset() -> None:
    token = VARIABLES[0].set("a")
    base = current()
    VARIABLES[0].reset(token)
    without = current()
    VARIABLES[0].set(base[VARIABLES[0]])
    apply_changes(base, without, None)
    assert current() == {}
    assert VARIABLES[0].get("unset") == "unset"


@in_a_new_context
def test_conflicts_change_nothing() -> None:
    base = set_all({0: "base", 1: "base"})
    theirs = changed(copy_context(), {0: "theirs", 1: "theirs", 2: "theirs", 3: "theirs"})
    ours = set_all({0: "ours", 2: "ours"})
    with pytest.raises(MergeConflict) as raised:
        apply_changes(base, theirs, None)
    assert sorted(raised.value.conflicts, key=lambda conflict: conflict[0].name) == [
        (VARIABLES[0], "base", "ours", "theirs"),
        (VARIABLES[2], MISSING, "ours", "theirs"),
    ]
    assert current() is ours
    apply_changes(base, theirs, lambda key, *sides: sides)
    assert VARIABLES[0].get() == ("base", "ours", "theirs")
    assert VARIABLES[1].get() == "theirs"
    assert VARIABLES[2].get() == (MISSING, "ours", "theirs")
    assert VARIABLES[3].get() == "theirs"
    set_all({0: "ours again"})
    apply_changes(base, theirs, lambda *_: MISSING)
    assert VARIABLES[0] not in current()


@in_a_new_context
def test_an_equal_value_is_a_change_but_no_conflict() -> None:
    first, second, third = [1], [1], [1]
    base = set_all({0: first})
    new = changed(copy_context(), {0: second})
    apply_changes(base, new, None)
    assert VARIABLES[0].get() is second
    apply_changes(base, changed(copy_context(), {0: third}), None)
    assert VARIABLES[0].get() is second


@in_a_new_context
def test_a_resolver_decides_on_values_that_cannot_be_compared() -> None:
    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

    base = set_all({0: Array()})
    new = changed(copy_context(), {0: Array()})
    set_all({0: Array()})
    with pytest.raises(ValueError, match="ambiguous"):
        apply_changes(base, new, None)
    apply_changes(base, new, lambda *values: values[3])
    assert VARIABLES[0].get() is new[VARIABLES[0]]


@in_a_new_context
def test_a_resolver_that_fails_changes_nothing() -> None:
    def fail(*_: object) -> object:
        VARIABLES[5].set("set by the resolver")
        raise ZeroDivisionError

    base = set_all({0: "base"})
    new = changed(copy_context(), {0: "theirs", 1: "theirs"})
    set_all({0: "ours"})
    with pytest.raises(ZeroDivisionError):
        apply_changes(base, new, fail)
    assert current() == {VARIABLES[0]: "ours", VARIABLES[5]: "set by the resolver"}


@in_a_new_context
def test_values_that_the_resolver_sets_are_kept() -> None:
    def resolve(key: ContextVar[Any], *_: object) -> object:
        VARIABLES[5].set("set by the resolver")
        VARIABLES[5].set("set again")
        return "resolved"

    base = set_all({0: "base"})
    new = changed(copy_context(), {0: "theirs", 1: "theirs"})
    set_all({0: "ours"})
    apply_changes(base, new, resolve)
    assert [VARIABLES[number].get() for number in (0, 1, 5)] == [
        "resolved",
        "theirs",
        "set again",
    ]


@in_a_new_context
def test_a_change_that_would_undo_what_the_resolver_sets_is_refused() -> None:
    def resolve(*_: object) -> object:
        VARIABLES[1].set("set by the resolver")
        return "resolved"

    base = set_all({0: "base"})
    new = changed(copy_context(), {0: "theirs", 1: "theirs"})
    set_all({0: "ours"})
    with pytest.raises(RuntimeError, match=r"name='v1'.* was set while changes"):
        apply_changes(base, new, resolve)
    assert current() == {VARIABLES[0]: "ours", VARIABLES[1]: "set by the resolver"}


@in_a_new_context
def test_a_comparison_may_set_variables() -> None:
    class Sets:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            VARIABLES[5].set("set by a comparison")
            return True

    base = set_all({0: "base"})
    new = changed(copy_context(), {0: Sets(), 1: "theirs"})
    ours = Sets()
    set_all({0: ours})
    apply_changes(base, new, None)
    assert VARIABLES[0].get() is ours
    assert [VARIABLES[number].get() for number in (1, 5)] == ["theirs", "set by a comparison"]


@in_a_new_context
def test_only_bindings_of_a_context_are_taken() -> None:
    ours = set_all({0: "a"})
    edited = ours.set(VARIABLES[1], "b")
    for wrong in (edited, {}, Map(a=1), copy_context(), None):
        with pytest.raises(TypeError, match="'base' must be the bindings of a context"):
            apply_changes(wrong, ours, None)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="'new' must be the bindings of a context"):
            apply_changes(ours, wrong, None)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="'base' must be the bindings of a context"):
            changed_bindings(wrong, ours)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="'new' must be the bindings of a context"):
            changed_bindings(ours, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="apply_changes expected 3 arguments, got 2"):
        apply_changes(ours, ours)  # type: ignore[call-arg]
    apply_changes(Map(), ours, None)
    assert current() == ours


SIDE = st.dictionaries(st.integers(0, len(VARIABLES) - 1), st.integers(0, 3))


@given(start=SIDE, ours=SIDE, theirs=SIDE)
@in_a_new_context
def test_random_changes(
    start: dict[int, int], ours: dict[int, int], theirs: dict[int, int]
) -> None:
    """The result is that of a loop over all variables. Equal small integers are identical."""
    base = set_all({**start})
    new = changed(copy_context(), {**theirs})
    before = set_all({**ours})
    merged, conflicts = {}, []
    for variable in VARIABLES:
        three = [side.get(variable, MISSING) for side in (base, before, new)]
        if three[1] == three[2] or three[0] == three[2]:
            merged[variable] = three[1]
        elif three[0] == three[1]:
            merged[variable] = three[2]
        else:
            conflicts.append((variable, *three))
    if not conflicts:
        apply_changes(base, new, None)
    else:
        with pytest.raises(MergeConflict) as raised:
            apply_changes(base, new, None)
        assert set(raised.value.conflicts) == set(conflicts)
        assert current() is before
        apply_changes(base, new, lambda key, base, ours, theirs: -theirs)
        merged |= {variable: -theirs for variable, _, _, theirs in conflicts}
    assert current() == {key: value for key, value in merged.items() if value is not MISSING}
    for variable in VARIABLES:
        assert variable.get(MISSING) == merged[variable]
