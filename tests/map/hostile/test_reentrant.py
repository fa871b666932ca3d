"""Re-entrant user code: keys, values and sources that edit the map during an operation on it.

No edit is lost, the length is right, and every key is found. Finished maps stay as they are.
"""

from __future__ import annotations

import gc
import operator
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Map
from tests.support.gc.values import Value
from tests.support.map.traps import TRAP, Key, assert_consistent
from tests.support.subprocesses import in_subprocess

# The outer edits use the keys 0 and "new", the inner ones other keys. Both must have happened.

Edit = Callable[[Any], object]


def pop_if_there(mapping: Any, key: Key) -> None:
    mapping.pop(key, None)


OUTER: dict[str, Edit] = {
    "replace": lambda m: operator.setitem(m, Key(0), "outer"),
    "add": lambda m: operator.setitem(m, Key("new"), "outer"),
    "delete": lambda m: operator.delitem(m, Key(0)),
    "pop": lambda m: m.pop(Key(0)),
    "pop missing": lambda m: m.pop(Key("new"), None),
    "setdefault": lambda m: m.setdefault(Key(0), "outer"),
    "setdefault new": lambda m: m.setdefault(Key("new"), "outer"),
    "update": lambda m: m.update([(Key(0), "outer"), (Key("new"), "outer")]),
    "update with a dict": lambda m: m.update({Key(0): "outer", Key("new"): "outer"}),
    "read": lambda m: (m.get(Key(0)), Key("new") in m),
    "compare": lambda m: m == {Key(0): 0, **dict.fromkeys(map(Key, range(1, len(m))))},
}
INNER: dict[str, Edit] = {
    "replace": lambda m: operator.setitem(m, Key(1), "inner"),
    "add": lambda m: operator.setitem(m, Key("newer"), "inner"),
    "delete": lambda m: operator.delitem(m, Key(2)),
    "add many": lambda m: m.update((Key(("many", n), n % 3), "inner") for n in range(40)),
    "delete and add": lambda m: (m.pop(Key(1)), m.update([(Key("newer"), "inner")])),
}


def done_to_dict(content: dict[Key, Any], *edits: Edit) -> dict[Key, Any]:
    result = dict(content)
    for edit in edits:
        edit(result)
    return result


@pytest.mark.parametrize("size", [3, 16, 18])
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_an_edit_within_an_edit_is_not_lost(outer: str, inner: str, size: int) -> None:
    content = {Key(number): Value() for number in range(size)}
    source = Map(content)
    both = done_to_dict(content, INNER[inner], OUTER[outer])
    calls = 0
    sprung = True
    while sprung:
        calls += 1
        mutation = source.mutate()
        # The mutation owns some nodes, and edits them in place.
        mutation[Key("own")] = "own"
        TRAP.set(calls, lambda m=mutation: INNER[inner](m))
        try:
            OUTER[outer](mutation)
        except RuntimeError:
            # The edit may raise RuntimeError, as a dict that changes meanwhile.
            assert outer == "compare"
        sprung = TRAP.has_sprung()
        assert_consistent(mutation)
        expected = both if sprung else done_to_dict(content, OUTER[outer])
        found = {key.name: value for key, value in mutation.items() if key.name != "own"}
        assert found == {key.name: value for key, value in expected.items()}
        assert mutation[Key("own")] == "own"
        assert {id(k): id(v) for k, v in source.items()} == {
            id(k): id(v) for k, v in content.items()
        }
    assert calls > 1


@pytest.mark.parametrize("size", [3, 16, 18])
@pytest.mark.parametrize("outer", OUTER)
def test_clearing_within_an_edit(outer: str, size: int) -> None:
    """The nodes that are being searched are freed, with their entries."""
    calls = 0
    sprung = True
    while sprung:
        calls += 1
        mutation = Map({Key(number): Value() for number in range(size)}).mutate()
        dying = [weakref.ref(value) for value in mutation.values()]
        TRAP.set(calls, mutation.clear)
        try:
            OUTER[outer](mutation)
        except KeyError:
            assert outer in ("delete", "pop")
        except RuntimeError:
            assert outer == "compare"
        sprung = TRAP.has_sprung()
        assert_consistent(mutation)
        if sprung:
            assert {key.name for key in mutation} <= {0, "new"}
            assert all(value == "outer" for value in mutation.values())
            assert not any(value() for value in dying)
    assert calls > 1


@pytest.mark.parametrize("size", [3, 18])
@pytest.mark.parametrize("outer", OUTER)
def test_finishing_within_an_edit(outer: str, size: int) -> None:
    """A finished map does not change, even by an edit that had already begun."""
    calls = 0
    sprung = True
    while sprung:
        calls += 1
        mutation = Map({Key(number): Value() for number in range(size)}).mutate()
        mutation[Key("own")] = "own"
        finished: list[tuple[Map[Any, Any], list[Any]]] = []

        def finish(mutation: Any = mutation, finished: list[Any] = finished) -> None:
            map_ = mutation.finish()
            finished.append((map_, list(map_.items())))

        TRAP.set(calls, finish)
        try:
            OUTER[outer](mutation)
        except (ValueError, RuntimeError):
            assert finished
        sprung = TRAP.has_sprung()
        for map_, items in finished:
            assert [(id(k), id(v)) for k, v in map_.items()] == [(id(k), id(v)) for k, v in items]
            assert_consistent(map_)
            assert len(map_) == len(items)
            assert mutation.finish() is map_
            with pytest.raises(ValueError, match="finished"):
                mutation[Key(5)] = 5
    assert calls > 1


READS: dict[str, Callable[[list[Map[Any, Any]]], object]] = {
    "get": lambda box: box.pop().get(Key(0)),
    "in": lambda box: Key("new") in box.pop(),
    "set": lambda box: box.pop().set(Key("new"), 1),
    "delete": lambda box: box.pop().delete(Key(0)),
    "update": lambda box: box.pop().update({Key(0): 1, Key("new"): 2}),
    "|": lambda box: box.pop() | {Key(0): 1},
    "==": lambda box: box.pop() == Map({Key(number): number for number in range(9)}),
    "== dict": lambda box: box.pop() == {Key(number): number for number in range(9)},
    "diff": lambda box: list(box.pop().diff(Map({Key(number): 1 for number in range(9)}))),
    "intersection": lambda box: box.pop().intersection([Key(0), Key("new")]),
    "difference": lambda box: box.pop().difference(iter([Key(0), Key("new")])),
    "merge": lambda box: Map().merge(box.pop(), Map({Key("new"): 1})),
    "in keys": lambda box: Key(0) in box.pop().keys(),  # noqa: SIM118
    "in items": lambda box: (Key(0), 1) in box.pop().items(),
    "keys &": lambda box: box.pop().keys() & {Key(0), Key("new")},
    "items ==": lambda box: box.pop().items() == {(Key(n), n) for n in range(9)},
    "hash": lambda box: hash(box.pop()),
    "iterate": lambda box: [key == Key("new") for key in box.pop()],
}


def with_a_dying_map(name: str, size: int) -> int:
    """At each call in turn, collect and drop all objects possible; return the number of calls."""
    gc.freeze()
    calls = 0
    sprung = True
    while sprung:
        calls += 1
        box = [Map({Key(number): Value() for number in range(size)})]

        def drop(box: list[Any] = box) -> None:
            box.clear()
            gc.collect()
            # Memory that was freed too early is overwritten now.
            box.append([[object(), object()] for _ in range(200)])

        TRAP.set(calls, drop)
        READS[name](box)
        sprung = TRAP.has_sprung()
    return calls - 1


def with_dying_maps() -> dict[str, int]:
    return {name: with_a_dying_map(name, size) for name in READS for size in (3, 9, 18)}


def test_the_last_reference_is_dropped_within() -> None:
    assert min(in_subprocess(with_dying_maps).values()) > 0
