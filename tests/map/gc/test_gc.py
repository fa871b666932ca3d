"""Garbage collection of maps: all unreachable objects are freed, and no reachable ones.

Maps that share nodes are the hard case. If each map visited the shared nodes, the collector would
miscount their references, and clear objects that are alive.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import Map
from tests.support.gc.reachability import check_cycle
from tests.support.gc.values import Value
from tests.support.map.cycles import Key, filled

pytestmark = pytest.mark.usefixtures("only_new_objects")

# A single entry, the largest flat map, the smallest with a branch, and deeper ones.
SIZES = [1, 16, 17, 300]


# Each function below closes a cycle through `value` and maps like `base`, and returns some members
# of the cycle. Each of them must keep the whole cycle alive.

Members = tuple[object, ...]


def value_map(value: Value, base: Map[Any, Any]) -> Members:
    value.refs = [base.set("v", value)]
    return value, value.refs[0]


def value_map_built_at_once(value: Value, base: Map[Any, Any]) -> Members:
    value.refs = [Map({**base, "v": value})]
    return value, value.refs[0]


def key_map(value: Value, base: Map[Any, Any]) -> Members:
    key = Key(7)
    key.refs = [base.set(key, 1), value]
    value.refs = [key]
    return value, key, key.refs[0]


def key_map_of_one_hash(value: Value, base: Map[Any, Any]) -> Members:
    keys = [Key(number, "0 bits") for number in range(20)]
    keys[3].refs = [base.update(dict.fromkeys(keys)), value]
    value.refs = [keys[3].refs[0]]
    return value, keys[3]


def map_in_map(value: Value, base: Map[Any, Any]) -> Members:
    inner = base.set("v", value)
    for _ in range(4):
        inner = base.set("inner", inner)
    value.refs = [inner]
    return value, inner, inner["inner"]


def map_as_a_key(value: Value, base: Map[Any, Any]) -> Members:
    inner = Map({Key(1): value})
    value.refs = [base.set(inner, "value")]
    return value, inner, value.refs[0]


def shared_nodes(value: Value, base: Map[Any, Any]) -> Members:
    one = base.set("v", value)
    others = [one.set("only here", number) for number in range(3)]
    value.refs = [*others, one]
    return value, one, *others


def unshared_nodes(value: Value, base: Map[Any, Any]) -> Members:
    other = filled(len(base) + 1, Value)
    between = Value()
    between.refs = [base.set("v", value)]
    value.refs = [other.set("between", between)]
    return value, between, value.refs[0]


def results_of_operations(value: Value, base: Map[Any, Any]) -> Members:
    one = (base | {"v": value, "w": 1}).delete("w")
    value.refs = [
        one.filter(lambda key, found: found is value),
        one.map_values(lambda found: [found]),
        one.intersection(["v"]),
        one.difference(base),
        base.merge(one, base.set("x", 1)),
        Map.fromkeys(["a", "b"], value),
    ]
    return value, *value.refs


def mutation(value: Value, base: Map[Any, Any]) -> Members:
    mutation = base.mutate()
    mutation["v"] = value
    value.refs = [mutation]
    return value, mutation


def mutation_of_itself(value: Value, base: Map[Any, Any]) -> Members:
    mutation = base.mutate()
    mutation["self"] = mutation
    mutation["v"] = value
    value.refs = [mutation.set]
    return value, mutation


def finished_mutation(value: Value, base: Map[Any, Any]) -> Members:
    mutation = base.mutate()
    mutation["v"] = value
    finished = mutation.finish()
    value.refs = [mutation]
    return value, mutation, finished


def bound_methods(value: Value, base: Map[Any, Any]) -> Members:
    map_ = base.set("v", value)
    value.refs = [map_.get, map_.items]
    return value, map_, value.refs[0]


def iterator_over(which: str) -> Callable[[Value, Map[Any, Any]], Members]:
    def close(value: Value, base: Map[Any, Any]) -> Members:
        map_ = base.set("v", value)
        value.refs = [iter(getattr(map_, which)())]
        return value, map_

    close.__name__ = f"iterator_over_{which}"
    return close


def iterator_half_way(value: Value, base: Map[Any, Any]) -> Members:
    items = iter(base.set("v", value).items())
    next(items)
    value.refs = [items]
    return value, items


def iterator_over_a_mutation(value: Value, base: Map[Any, Any]) -> Members:
    mutation = base.set("v", value).mutate()
    value.refs = [iter(mutation), iter(mutation.values())]
    return value, mutation, value.refs[0]


def view_of(which: str) -> Callable[[Value, Map[Any, Any]], Members]:
    def close(value: Value, base: Map[Any, Any]) -> Members:
        view = getattr(base.set("v", value), which)()
        value.refs = [view]
        return value, view, view.mapping

    close.__name__ = f"view_of_{which}"
    return close


def view_of_a_mutation(value: Value, base: Map[Any, Any]) -> Members:
    mutation = base.set("v", value).mutate()
    value.refs = [mutation.values(), mutation.items(), mutation.keys()]
    return value, mutation, value.refs[0]


def diff(value: Value, base: Map[Any, Any]) -> Members:
    value.refs = [base.diff(base.set("v", value))]
    return value, value.refs[0], value.refs[0].added


def diff_of_changes(value: Value, base: Map[Any, Any]) -> Members:
    value.refs = [base.set("v", 1).diff(base.set("v", value))]
    changes = list(value.refs[0])
    value.refs.append(changes)
    return value, value.refs[0].changed, changes


def conflict(value: Value, base: Map[Any, Any]) -> Members:
    try:
        base.merge(base.set("v", value), base.set("v", 1))
    except ctxvars.MergeConflict as error:
        value.refs = [error.conflicts]
        return value, value.refs[0]
    raise AssertionError


def context_variables(value: Value, base: Map[Any, Any]) -> Members:
    variable, context = ctxvars.ContextVar[Any]("v"), ctxvars.Context()
    context.run(variable.set, base.set("v", value))
    value.refs = [context.bindings]
    return value, value.refs[0], context.bindings


def context_diff(value: Value, base: Map[Any, Any]) -> Members:
    variable, context = ctxvars.ContextVar[Any]("v"), ctxvars.Context()
    context.run(variable.set, value)
    value.refs = [ctxvars.Context().diff(context), base]
    return value, value.refs[0]


CYCLES: list[Callable[[Value, Map[Any, Any]], Members]] = [
    value_map,
    value_map_built_at_once,
    key_map,
    key_map_of_one_hash,
    map_in_map,
    map_as_a_key,
    shared_nodes,
    unshared_nodes,
    results_of_operations,
    mutation,
    mutation_of_itself,
    finished_mutation,
    bound_methods,
    *map(iterator_over, ["keys", "values", "items"]),
    iterator_half_way,
    iterator_over_a_mutation,
    *map(view_of, ["keys", "values", "items"]),
    view_of_a_mutation,
    diff,
    diff_of_changes,
    conflict,
    context_variables,
    context_diff,
]


@pytest.mark.parametrize("filler", [int, Value], ids=["beside atoms", "beside objects"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("close", CYCLES, ids=lambda close: close.__name__)
def test_cycle_is_collected_once_unreachable_and_not_before(
    close: Callable[[Value, Map[Any, Any]], Members],
    size: int,
    filler: Callable[[int], object],
) -> None:
    check_cycle(lambda: filled(size, filler), close)


@pytest.mark.parametrize("size", SIZES)
def test_shared_nodes_die_with_their_last_map(size: int) -> None:
    maps: list[Any] = [filled(size, Value)]
    shared = [weakref.ref(value) for value in maps[0].values()]
    for number in range(10):
        # Each map shares most nodes with the one before, and closes another cycle.
        cycle: list[Any] = [Value(number)]
        maps.append(maps[-1].set("cycle", cycle))
        cycle.append(maps[-1])
    del cycle
    for dropped in (0, 4, 4, 7, 0, 1):
        del maps[dropped]
        gc.collect()
        for map_ in maps:
            numbers = [value.number for value in map_.values() if isinstance(value, Value)]
            assert sorted(numbers) == list(range(size - 1))
    assert all(weak() for weak in shared)
    maps.clear()
    del map_
    gc.collect()
    assert not any(weak() for weak in shared)


def occurrences(value: object, found: list[Any]) -> int:
    return sum(each is value for each in found)


def test_collector_sees_each_reference_of_a_shared_node_once() -> None:
    value = Value()
    before = sys.getrefcount(value)
    map_ = filled(100, int).set("v", value)
    copies = [map_.set(f"filler {number}", -1) for number in range(20)]
    references = sys.getrefcount(value) - before
    nodes = [found for found in gc.get_referrers(value) if "ctxvars" in type(found).__module__]
    # Each reference comes from one tracked node, which visits it once.
    assert references == len(nodes) < 10
    assert [occurrences(value, gc.get_referents(node)) for node in nodes] == [1] * len(nodes)
    assert all(copy["v"] is value for copy in copies)
