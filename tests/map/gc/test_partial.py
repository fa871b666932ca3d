"""Callbacks of the collector never see an incomplete map.

Up to CPython 3.11, any allocation may run the collector, also while a map is built.
"""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ctxvars import Map
from tests.support.gc.values import Value
from tests.support.map.keys import CUTS, Key

pytestmark = pytest.mark.usefixtures("only_new_objects")


VALUES = [Value() for _ in range(400)]


class Constant(Value):
    def __deepcopy__(self, memo: object) -> Constant:
        return self


def replaced(value: Value) -> Value:
    return VALUES[id(value) % 7]


OPERATIONS: dict[str, Callable[[Map[Any, Any], Map[Any, Any], dict[Any, Any]], object]] = {
    "build": lambda m, other, d: Map(d),
    "build of pairs": lambda m, other, d: Map(list(d.items())),
    "fromkeys": lambda m, other, d: Map.fromkeys(d, VALUES[0]),
    "set": lambda m, other, d: [m.set(key, VALUES[9]) for key in (*d, "new")],
    "set one by one": lambda m, other, d: set_all(Map(), d),
    "delete": lambda m, other, d: [m.delete(key) for key in m],
    "delete one by one": lambda m, other, d: delete_all(m),
    "update": lambda m, other, d: (m.update(d), m.update({1: VALUES[0]}), m.update(other)),
    "or": lambda m, other, d: (m | other, other | m, m | {"x": VALUES[1]}),
    "select": lambda m, other, d: (m.intersection(other), m.difference(other)),
    "filter": lambda m, other, d: m.filter(lambda key, value: id(value) % 3 > 0),
    "map_values": lambda m, other, d: m.map_values(replaced),
    "diff and apply": lambda m, other, d: m.apply(m.diff(other)),
    "merge": lambda m, other, d: m.merge(other, m.set("z", VALUES[3])),
    "deepcopy": lambda m, other, d: copy.deepcopy(m.set("constant", Constant())),
    "pickle": lambda m, other, d: pickle.loads(pickle.dumps(m)),
    "mutation": lambda m, other, d: mutated(m, d),
    "mutation of nothing": lambda m, other, d: mutated(Map(), d),
    "views": lambda m, other, d: (m.items() ^ other.items(), m.keys() - other.keys()),
}


def set_all(map_: Map[Any, Any], content: dict[Any, Any]) -> Map[Any, Any]:
    for key, value in content.items():
        map_ = map_.set(key, value)
    return map_


def delete_all(map_: Map[Any, Any]) -> Map[Any, Any]:
    for key in map_:
        map_ = map_.delete(key)
    return map_


def mutated(map_: Map[Any, Any], content: dict[Any, Any]) -> Map[Any, Any]:
    mutation = map_.mutate()
    for key, value in content.items():
        mutation[key] = value
    for number, key in enumerate(content):
        if number % 3 == 0:
            del mutation[key]
    mutation.update(content)
    mutation.popitem()
    return mutation.finish()


@pytest.fixture
def seen(only_new_objects: None) -> Iterator[list[tuple[Map[Any, Any], int, list[Any], int]]]:
    """Return all maps that callbacks of the collector have seen, with their content then."""
    found: list[tuple[Map[Any, Any], int, list[Any], int]] = []
    known: set[int] = set()
    own_thread = threading.get_ident()

    def look(phase: str, info: object) -> None:
        # While a callback runs in the thread of xdist, this thread cannot collect.
        if threading.get_ident() != own_thread:
            return
        # All generations: a collection in that thread may have moved maps to the oldest one.
        for object_ in gc.get_objects():
            if type(object_) is Map and id(object_) not in known:
                # The maps stay alive, so other maps cannot have their identity.
                known.add(id(object_))
                found.append((object_, len(object_), list(object_.items()), hash(object_)))

    thresholds = gc.get_threshold()
    gc.callbacks.append(look)
    gc.set_threshold(1, 1, 1)
    yield found
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(look)


@pytest.mark.parametrize("cut", ["full", "0 bits"])
@pytest.mark.parametrize("size", [3, 17, 80])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_callbacks_see_complete_maps(operation: str, size: int, cut: str, seen: list[Any]) -> None:
    content = {
        Key(number, CUTS[cut](hash((number, "key")))): VALUES[number] for number in range(size)
    }
    map_: Map[Any, Any] = Map(content)
    other = set_all(map_, {Key(number, number): VALUES[-number - 1] for number in range(5)})
    OPERATIONS[operation](map_, other, content)
    for _ in range(1000):
        # Does nothing while a collection in the thread of xdist is under way.
        gc.collect(0)
        if seen:
            break
        time.sleep(0)  # lets that thread run
    gc.set_threshold(0)
    assert seen
    for found, length, items, hash_ in seen:
        assert length == len(items) == len(found)
        assert [(id(k), id(v)) for k, v in items] == [(id(k), id(v)) for k, v in found.items()]
        assert hash_ == hash(found) == hash(frozenset(items))
        assert all(found[key] is value for key, value in items)
