"""Finalisers that run while deeply nested maps are freed."""

from __future__ import annotations

import pytest

from ctxvars import Map


class Noting:
    def __init__(self, notes: list[str], note: str) -> None:
        self.notes, self.note = notes, note

    def __del__(self) -> None:
        self.notes.append(self.note)


class Dropping:
    """Drops maps in its finaliser, and records when they are freed."""

    def __init__(self, notes: list[str], levels: int) -> None:
        self.notes, self.levels = notes, levels

    def __del__(self) -> None:
        inner = nest(Noting(self.notes, "dropped"), self.levels)
        del inner
        self.notes.append("after del")


def nest(value: object, levels: int) -> Map[str, object]:
    outer = Map(x=value)
    for _ in range(levels):
        outer = Map(x=outer)
    return outer


@pytest.mark.parametrize("depth", [0, 5, 38, 39, 40, 45, 79, 80, 1000])
@pytest.mark.parametrize("levels", [0, 30])
def test_objects_that_a_finaliser_drops_are_freed_at_once(depth: int, levels: int) -> None:
    notes: list[str] = []
    outer = nest(Dropping(notes, levels), depth)
    del outer
    assert notes == ["dropped", "after del"]


class Linked:
    """Drops the next object in its finaliser."""

    def __init__(self, counted: list[int], inner: Map[str, object]) -> None:
        self.counted, self.inner = counted, inner

    def __del__(self) -> None:
        self.counted[0] += 1
        del self.inner


def test_finalisers_inside_one_another_use_a_bounded_stack() -> None:
    counted = [0]
    outer: Map[str, object] = Map()
    for _ in range(20_000):
        outer = Map(x=Linked(counted, outer))
    del outer
    assert counted == [20_000]


def test_a_greenlet_that_waits_in_a_finaliser_does_not_keep_others_from_freeing() -> None:
    greenlet = pytest.importorskip("greenlet")
    main = greenlet.getcurrent()
    notes: list[str] = []

    class Waiting:
        def __del__(self) -> None:
            main.switch()

    def work() -> None:
        outer = nest(Waiting(), 39)
        del outer
        notes.append("resumed")

    other = greenlet.greenlet(work)
    other.switch()
    for depth in (0, 39, 1000):
        outer = nest(Noting(notes, "dropped"), depth)
        del outer
    assert notes == ["dropped"] * 3
    other.switch()
    assert notes == ["dropped"] * 3 + ["resumed"]
