"""Edits of a mutation whose keys edit it while they are compared: each of them ends."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Map

LIMIT = 20_000
"""The number of comparisons after which an edit counts as endless."""


class Endless(BaseException):
    """Raised by a test whose edit does not end."""


class Key:
    """A key that equals no other key, and calls a function at each comparison while it is armed."""

    action: Callable[[], object] | None = None
    calls = 0

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        action, Key.action = Key.action, None
        if action is not None:
            Key.calls += 1
            if Key.calls > LIMIT:
                raise Endless
            action()
            Key.action = action
        return self is other


EDITS: dict[str, Callable[[Any], object]] = {
    "set": lambda m: operator.setitem(m, Key(), -1),
    "set by method": lambda m: m.set(Key(), -1),
    "delete": lambda m: operator.delitem(m, Key()),
    "discard": lambda m: m.discard(Key()),
    "pop": lambda m: m.pop(Key(), None),
    "setdefault": lambda m: m.setdefault(Key()),
    "update": lambda m: m.update([(Key(), 1)]),
    "update with a map": lambda m: m.update(Map({Key(): 1})),
}

INNER: dict[str, Callable[[Any], object]] = {
    "replace": lambda m: operator.setitem(m, "other", object()),
    "add": lambda m: operator.setitem(m, object(), 1),
    "set 50 and pop one": lambda m: (m.update((n, object()) for n in range(50)), m.pop(3)),
    "add with the same hash": lambda m: operator.setitem(m, Key(), 1),
}


@pytest.fixture(autouse=True)
def disarmed() -> Any:
    Key.calls = 0
    yield
    Key.action = None


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_ends_though_each_comparison_edits(edit: str, inner: str) -> None:
    mutation: Any = Map({Key(): 0, "other": 1}).mutate()
    Key.action = lambda: INNER[inner](mutation)
    with pytest.raises(RuntimeError, match="changed during the comparison"):
        EDITS[edit](mutation)
    Key.action = None
    # The edits of the comparisons have been done, and the outer edit has not.
    assert -1 not in mutation.values()
    assert len(mutation) == len(list(mutation)) >= 2
    mutation["new"] = 1
    assert mutation.finish()["new"] == 1


@pytest.mark.parametrize("edit", EDITS)
def test_some_interruptions_are_no_error(edit: str) -> None:
    """A comparison that edits only a few times, such as one that fills a cache, is allowed."""
    mutation: Any = Map({Key(): 0, "other": 1}).mutate()
    interruptions = iter(range(50))

    def interrupt() -> None:
        number = next(interruptions, None)
        if number is not None:
            mutation["other"] = number

    Key.action = interrupt
    try:
        EDITS[edit](mutation)
    except KeyError:
        assert edit == "delete"
    assert next(interruptions, None) is None
    assert mutation["other"] == 49


@pytest.mark.parametrize("edit", EDITS)
def test_reading_within_a_comparison_is_no_interruption(edit: str) -> None:
    mutation: Any = Map({Key(): 0, "other": 1}).mutate()
    Key.action = lambda: (mutation["other"], len(mutation), list(mutation.values()))
    try:
        EDITS[edit](mutation)
    except KeyError:
        assert edit == "delete"
    assert 1 <= Key.calls <= 4


def test_popitem_needs_no_comparison() -> None:
    mutation: Any = Map({Key(): 0}).mutate()
    Key.action = lambda: operator.setitem(mutation, object(), 1)
    mutation.popitem()
    assert Key.calls == 0
    assert not mutation
