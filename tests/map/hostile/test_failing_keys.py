"""Keys and values that raise at each of the calls that an operation makes.

A failing operation raises the exception of the key or value itself, and leaves every map and
mutation as it was.
"""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Map, MapMutation, freeze, thaw
from tests.support.map.keys import FIBONACCI


class Everything(KeyError, AttributeError, TypeError, ValueError, NotImplementedError):
    """An exception that code with too broad handlers would catch."""


class Fuse:
    """Counts the calls of user code, and raises at one of them."""

    def __init__(self) -> None:
        self.left = -1
        self.error: BaseException | None = None

    def arm(self, calls: int, error: BaseException | None) -> None:
        self.left, self.error = calls, error

    def burn(self) -> None:
        if self.error is None:
            return
        self.left -= 1
        if self.left == 0:
            raise self.error


FUSE = Fuse()


class Key:
    """A key or value each of whose methods counts as one call of the fuse."""

    def __init__(self, name: Any, hash_: int) -> None:
        self.name, self.hash = name, hash_

    def __hash__(self) -> int:
        FUSE.burn()
        return self.hash

    def __eq__(self, other: object) -> bool:
        FUSE.burn()
        return isinstance(other, Key) and self.name == other.name

    def __repr__(self) -> str:
        FUSE.burn()
        return f"Key({self.name!r})"

    def __deepcopy__(self, memo: object) -> Key:
        FUSE.burn()
        return Key(self.name, self.hash)

    def __bool__(self) -> bool:
        FUSE.burn()
        return True

    def __reduce__(self) -> Any:
        FUSE.burn()
        return Key, (self.name, self.hash)


HASHES: dict[str, Callable[[int], int]] = {
    "one hash": lambda number: 7,
    "two hashes": lambda number: number % 2,
    "deep": lambda number: number % 5 * FIBONACCI,
    "apart": lambda number: number * 1_000_003,
}


class World:
    """Maps of hostile keys and values. Equal keys are never identical."""

    def __init__(self, size: int, hashes: Callable[[int], int]) -> None:
        self.hash = hashes
        self.content = {self.key(number): self.value(number) for number in range(size)}
        self.map = Map(self.content)
        # Equal maps, and maps that differ in one value, have one more key, or one key less.
        self.equal = Map({self.key(number): self.value(number) for number in range(size)})
        self.other = self.equal.set(self.key(0), self.value("other")).discard(self.key(size - 1))
        self.other = self.other.set(self.key(size), self.value(size))
        self.derived = self.map.set(self.key(1), self.value("derived")).delete(self.key(2))
        self.diff = self.map.diff(self.other)
        self.first, self.last, self.new = self.key(0), self.key(size - 1), self.key(size + 1)
        self.two = [(self.key(0), "new value"), (self.new, 1), (self.key(size + 2), 2)]
        self.nested = Map(map=self.map, dict=self.content)
        self.pairs = [(self.key(number), number) for number in range(1, size, 2)] + self.two

    def key(self, number: int) -> Key:
        return Key(number, self.hash(number))

    @staticmethod
    def value(name: object) -> Key:
        return Key(("value", name), hash(name) % 64)


def burning(*_: object) -> bool:
    FUSE.burn()
    return True


def resolved(key: object, base: object, ours: object, theirs: object) -> object:
    FUSE.burn()
    return theirs


OPERATIONS: dict[str, Callable[[World], object]] = {
    "[]": lambda w: w.map[w.last],
    "[] missing": lambda w: w.map.get(w.new) or w.map.get(w.new, 1),
    "in": lambda w: (w.first in w.map, w.new in w.map),
    "set": lambda w: w.map.set(w.last, 1),
    "set new": lambda w: w.map.set(w.new, 1),
    "delete": lambda w: w.map.delete(w.first),
    "discard": lambda w: (w.map.discard(w.last), w.map.discard(w.new)),
    "update": lambda w: w.map.update(w.pairs, {w.new: 3}),
    "update with a map": lambda w: w.map.update(w.other),
    "|": lambda w: w.map | dict(w.two),
    "| map": lambda w: w.other | w.map,
    "reflected |": lambda w: dict(w.two) | w.map,
    "Map(pairs)": lambda w: Map(w.pairs),
    "Map(dict)": lambda w: Map(dict(w.two)),
    "fromkeys": lambda w: Map.fromkeys([w.first, w.new, w.key(0), w.key(1)], w.value(1)),
    "==": lambda w: (w.map == w.equal, w.map == w.other, w.map == w.derived),
    "!=": lambda w: (w.map != w.equal, w.map != w.other),
    "== dict": lambda w: (w.map == w.content, w.content == w.map, w.other == dict(w.two)),
    "hash": lambda w: hash(w.map),
    "repr": lambda w: repr(w.map),
    "diff": lambda w: (w.map.diff(w.other), w.map.diff(w.derived), w.map.diff(w.equal)),
    "diff of a dict": lambda w: w.map.diff(dict(w.two)),
    "diff ==": lambda w: w.diff == w.equal.diff(w.other),
    "apply": lambda w: (w.map.apply(w.diff), w.derived.apply(w.diff)),
    "intersection": lambda w: w.map.intersection([w.first, w.new, w.last]),
    "intersection with a map": lambda w: w.map.intersection(w.other),
    "difference": lambda w: w.map.difference([w.first, w.new, w.last]),
    "difference of a map": lambda w: w.map.difference(w.other),
    "filter": lambda w: w.map.filter(burning),
    "filter by an object": lambda w: w.map.filter(lambda key, value: value),
    "map_values": lambda w: w.map.map_values(burning),
    "merge": lambda w: w.map.merge(w.derived, w.map.set(w.new, 1)),
    "merge apart": lambda w: w.equal.merge(w.map, w.other),
    "merge and resolve": lambda w: w.map.merge(
        w.map.set(w.first, 1), w.map.set(w.first, 2), resolve=resolved
    ),
    "get_in": lambda w: (w.nested.get_in(["map", w.last]), w.nested.get_in(["dict", w.new])),
    "set_in": lambda w: (w.nested.set_in(["map", w.last], 1), w.nested.set_in(["dict", w.new], 1)),
    "set_in, new levels": lambda w: w.map.set_in([w.new, w.first], 1),
    "update_in": lambda w: w.nested.update_in(["map", w.last], burning),
    "update_in with a default": lambda w: w.nested.update_in(["dict", w.new], burning, 0),
    "delete_in": lambda w: (
        w.nested.delete_in(["map", w.first]),
        w.nested.delete_in(["dict", w.first]),
    ),
    "merge_deep": lambda w: w.nested.merge_deep({"map": w.other, "dict": w.map}),
    "merge_deep and resolve": lambda w: w.nested.merge_deep({"map": w.other}, resolve=burning),
    "freeze": lambda w: freeze({"map": w.map, "dict": dict(w.two)}),
    "thaw": lambda w: thaw(w.nested),
    "deepcopy": lambda w: copy.deepcopy(w.map),
    "pickle": lambda w: pickle.loads(pickle.dumps(w.map)),
    "in keys": lambda w: (w.first in w.map.keys(), w.new in w.map.keys()),  # noqa: SIM118
    "in items": lambda w: ((w.first, w.value(0)) in w.map.items(), (w.new, 1) in w.map.items()),
    "in values": lambda w: (w.value(1) in w.map.values(), w.value("none") in w.map.values()),
    "keys & |": lambda w: (w.map.keys() & w.other.keys(), w.map.keys() | w.other.keys()),
    "keys - ^": lambda w: (w.map.keys() - w.other.keys(), w.map.keys() ^ w.other.keys()),
    "keys == <=": lambda w: (w.map.keys() == w.equal.keys(), w.map.keys() <= w.equal.keys()),
    "keys isdisjoint": lambda w: w.map.keys().isdisjoint([w.new, w.last]),
    "items & |": lambda w: (w.map.items() & w.other.items(), w.map.items() | w.other.items()),
    "items == <=": lambda w: (w.map.items() == w.equal.items(), w.map.items() < w.other.items()),
    "repr of views": lambda w: (repr(w.map.keys()), repr(w.map.items())),
}


def caught(attempt: Callable[[], object]) -> BaseException | None:
    """Return the exception of an attempt, or None."""
    try:
        attempt()
    except BaseException as error:
        return error
    return None


def until_it_completes(attempt: Callable[[], object], check: Callable[[], None]) -> int:
    """Let each call of user code raise in turn; return how many calls raised."""
    failures = 0
    for kind in (Everything, StopIteration, KeyboardInterrupt):
        calls = 0
        raised: BaseException | None = None
        while raised is not None or not calls:
            calls += 1
            error = kind("from the key")
            FUSE.arm(calls, error)
            raised = caught(attempt)
            is_burnt = FUSE.left <= 0
            FUSE.arm(0, None)
            check()
            assert is_burnt == (raised is not None), f"call {calls}: raised {raised!r}"
            if raised is not None and raised is not error:
                # A generator turns StopIteration into this exception. No other change is allowed.
                assert kind is StopIteration
                assert type(raised) is RuntimeError
                assert raised.__cause__ is error
            failures += is_burnt
    return failures


@pytest.mark.parametrize("hashes", HASHES)
@pytest.mark.parametrize("size", [3, 18])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_fails_changes_no_map(name: str, size: int, hashes: str) -> None:
    world = World(size, HASHES[hashes])
    maps = [world.map, world.equal, world.other, world.derived]
    before = [[(id(key), id(value)) for key, value in map_.items()] for map_ in maps]
    model = dict(world.map)

    def check() -> None:
        for map_, items in zip(maps, before, strict=True):
            assert [(id(key), id(value)) for key, value in map_.items()] == items
            assert len(map_) == len(items)
        assert all(world.map[key] is value for key, value in model.items())

    failures = until_it_completes(lambda: OPERATIONS[name](world), check)
    # If hashes differ and are cached, some operations need not call the keys.
    assert failures > 0 or hashes not in ("one hash", "two hashes")


Edit = Callable[[World, Any], object]
# Each edit with its counterpart for a dict.
EDITS: dict[str, tuple[Edit, Edit]] = {
    "[]=": (
        lambda w, m: operator.setitem(m, w.last, 1),
        lambda w, d: operator.setitem(d, w.last, 1),
    ),
    "[]= new": (
        lambda w, m: operator.setitem(m, w.new, 1),
        lambda w, d: operator.setitem(d, w.new, 1),
    ),
    "set": (lambda w, m: m.set(w.new, 1), lambda w, d: operator.setitem(d, w.new, 1)),
    "del": (
        lambda w, m: operator.delitem(m, w.last),
        lambda w, d: operator.delitem(d, w.last),
    ),
    "discard": (lambda w, m: m.discard(w.first), lambda w, d: d.pop(w.first, None)),
    "pop": (lambda w, m: m.pop(w.first), lambda w, d: d.pop(w.first)),
    "pop missing": (lambda w, m: m.pop(w.new, 1), lambda w, d: d.pop(w.new, 1)),
    "setdefault": (lambda w, m: m.setdefault(w.last, 1), lambda w, d: d.setdefault(w.last, 1)),
    "setdefault new": (lambda w, m: m.setdefault(w.new, 1), lambda w, d: d.setdefault(w.new, 1)),
}


@pytest.mark.parametrize("hashes", HASHES)
@pytest.mark.parametrize("size", [3, 18])
@pytest.mark.parametrize("name", EDITS)
def test_an_edit_that_fails_changes_no_mutation(name: str, size: int, hashes: str) -> None:
    world = World(size, HASHES[hashes])
    edit, edit_dict = EDITS[name]
    done = dict(world.content)
    edit_dict(world, done)
    mutation: Any = None

    def attempt() -> None:
        nonlocal mutation
        # The mutation owns some nodes, and shares others with the map.
        error, FUSE.error = FUSE.error, None
        mutation = world.map.mutate()
        mutation[world.key(1)] = world.content[world.key(1)]
        FUSE.error = error
        edit(world, mutation)

    states: list[bool] = []

    def check() -> None:
        found = {id(key): id(value) for key, value in mutation.items()}
        unchanged = found == {id(key): id(value) for key, value in world.content.items()}
        states.append(unchanged)
        expected = world.content if unchanged else done
        assert {key.name: value for key, value in mutation.items()} == {
            key.name: value for key, value in expected.items()
        }
        assert len(mutation) == len(expected)
        assert all(mutation[key] is expected[key] for key in expected)
        assert mutation.finish() == expected
        assert world.map == world.content

    failures = until_it_completes(attempt, check)
    assert failures > 0
    # Only the last attempt with each kind of error may have changed the mutation: it did not fail.
    assert states.count(True) >= failures


UPDATES: dict[str, Callable[[World], Any]] = {
    "pairs": lambda w: w.pairs,
    "an iterator": lambda w: iter(w.pairs),
    "dict": lambda w: dict(w.pairs),
    "map": lambda w: w.other,
    "mutation": lambda w: w.other.mutate(),
}


@pytest.mark.parametrize("hashes", HASHES)
@pytest.mark.parametrize("source", UPDATES)
def test_an_update_that_fails_changes_nothing(source: str, hashes: str) -> None:
    world = World(18, HASHES[hashes])
    mutation: MapMutation[Any, Any] = Map().mutate()
    done: dict[Any, Any] = {}
    raised = False

    def attempt() -> None:
        nonlocal mutation, done, raised
        error, FUSE.error = FUSE.error, None
        mutation = world.map.mutate()
        mutation[world.new] = "before"
        origin = UPDATES[source](world)
        new = dict(world.pairs) if source in ("pairs", "an iterator", "dict") else dict(world.other)
        done = {**world.content, world.new: "before", **new}
        FUSE.error = error
        raised = True
        mutation.update(origin)
        raised = False

    def check() -> None:
        expected = {**world.content, world.new: "before"} if raised else done
        assert {key.name: id(value) for key, value in mutation.items()} == {
            key.name: id(value) for key, value in expected.items()
        }
        assert len(mutation) == len(expected)
        finished = mutation.finish()
        assert all(finished[key] is expected[key] for key in expected)
        assert world.map == world.content

    assert until_it_completes(attempt, check) > 0
