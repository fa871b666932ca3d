"""Many keys with one hash, very many keys, and very deep nests: neither slow nor a crash."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Map
from tests.support.concurrency import with_small_stack
from tests.support.map.keys import FIBONACCI
from tests.support.subprocesses import in_subprocess

pytestmark = pytest.mark.slow

DEEP = 300_000


class OneHash:
    """Keys that are equal only if they are identical."""

    def __hash__(self) -> int:
        return 42


class OneHashByName:
    """Keys of one hash that are compared by name."""

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 42

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OneHashByName) and self.name == other.name


FLOODS: dict[str, Callable[[], list[Any]]] = {
    # Hashes that become equal if 64 bits are folded to 32 by XOR.
    "ints that fold": lambda: [number * (2**32 + 1) for number in range(8000)],
    # The hash of an int is its remainder modulo 2**61 - 1, so these have one hash.
    "ints of one hash": lambda: [number * (2**61 - 1) for number in range(4000)],
    "negative ints of one hash": lambda: [-number * (2**61 - 1) - 5 for number in range(1000)],
    "floats and ints of one hash": lambda: [
        float(2**61 - 1) ** 0 * 2.0**exponent for exponent in range(0, 1000, 61)
    ],
    "deep ints": lambda: [number * FIBONACCI for number in range(5000)],
    "high bits": lambda: [number << 40 for number in range(5000)],
    "tuples": lambda: [(number * (2**61 - 1), "x") for number in range(1000)],
    "keys of one hash": lambda: [OneHash() for _ in range(5000)],
    "compared keys of one hash": lambda: [OneHashByName(number) for number in range(400)],
}


@pytest.mark.parametrize("name", FLOODS)
def test_keys_that_collide(name: str) -> None:
    keys = FLOODS[name]()
    map_ = Map((key, number) for number, key in enumerate(keys))
    assert len(map_) == len(keys)
    assert all(map_[key] == number for number, key in enumerate(keys))
    assert {id(key) for key in map_} == {id(key) for key in keys}
    assert [value for value in map_.values() if value > len(keys)] == []
    # Setting the keys one by one, in another order, gives an equal map.
    shuffled = list(enumerate(keys))
    random.Random(1).shuffle(shuffled)
    mutation = Map().mutate()
    for number, key in shuffled:
        mutation[key] = number
    assert mutation.finish() == map_
    # Half of it deleted, from maps and in a mutation.
    kept = set(map(id, keys[::2]))
    mutation = map_.mutate()
    for key in keys[1::2]:
        del mutation[key]
    half = mutation.finish()
    assert {id(key) for key in half} == kept
    assert half == map_.difference(keys[1::2]) == map_.filter(lambda key, value: value % 2 == 0)
    assert all((key in half) == (id(key) in kept) for key in keys)
    assert len(map_.diff(half).removed) == len(keys) - len(half)
    assert half | map_ == map_
    for key in keys[:20]:
        assert map_.set(key, "new")[key] == "new"
        assert key not in map_.delete(key)
    assert len(map_) == len(keys)


def test_ints_bools_and_floats_of_one_hash_keep_their_equality() -> None:
    modulus = 2**61 - 1
    map_ = Map({number * modulus + 1: number for number in range(500)})
    assert map_[True] == map_[1.0] == map_[1] == 0
    assert map_[modulus + 1] == map_[float(2**61)] == 1
    assert float(2**60) not in map_
    assert 1 + 0j in map_
    assert map_.set(True, "new")[1] == "new"
    assert len(map_.set(1.0, "new")) == 500


def very_many(count: int) -> int:
    """Build, look up, change, compare and empty a map with that many entries."""
    map_ = Map((number, number) for number in range(count))
    assert len(map_) == count
    assert all(map_[number] == number for number in range(0, count, 97))
    assert count not in map_
    assert sum(map_) == sum(map_.values()) == count * (count - 1) // 2
    changed = map_.set(5, "five").delete(7).set("new", 1)
    found = map_.diff(changed)
    assert (len(found.added), len(found.removed), len(found.changed)) == (1, 1, 1)
    assert changed != map_
    assert changed.apply(changed.diff(map_)) == map_
    assert map_.merge(changed, map_.set(9, "nine")) == changed.set(9, "nine")
    mutation = map_.mutate()
    for number in range(count):
        if number % 1000:
            del mutation[number]
    few = mutation.finish()
    assert sorted(few) == list(range(0, count, 1000))
    assert few == Map.fromkeys(range(0, count, 1000)) | few
    assert not gc.is_tracked(map_)
    return len(map_)


def test_very_many_entries() -> None:
    count = 10_000_000 if os.environ.get("CTXVARS_BIG") else 1_000_000
    assert in_subprocess(very_many, count, timeout=600) == count


# Deep nests. Recursive operations may raise RecursionError, but not crash.


def nest_in_values(innermost: object = 0) -> Any:
    nested: Any = innermost
    for _ in range(DEEP):
        nested = Map(inner=nested)
    return nested


def nest_in_keys() -> Any:
    nested: Any = Map()
    for _ in range(DEEP):
        nested = Map({nested: None})
        # The hash is cached, so that hashing the next map does not start again.
        hash(nested)
    return nested


def nest_in_lists() -> Any:
    nested: Any = Map()
    for _ in range(DEEP // 2):
        nested = Map(inner=[nested])
    return nested


def nest_in_mutations() -> Any:
    nested: Any = Map().mutate()
    for _ in range(DEEP):
        outer = Map().mutate()
        outer["inner"] = nested
        nested = outer
    return nested


def nest_in_views() -> Any:
    nested: Any = Map()
    for number in range(DEEP):
        map_ = Map(inner=nested)
        nested = (map_.keys(), map_.values(), map_.items(), iter(map_.values()))[number % 4]
    return nested


def nest_in_diffs() -> Any:
    nested: Any = Map()
    for _ in range(DEEP // 3):
        nested = Map().diff(Map(inner=nested))
    return nested


def nest_in_branches() -> Any:
    nested: Any = Map()
    filler = Map({number: [] for number in range(20)})
    for _ in range(DEEP // 6):
        nested = filler.set("inner", nested)
    return nested


NESTS = [
    nest_in_values,
    nest_in_keys,
    nest_in_lists,
    nest_in_mutations,
    nest_in_views,
    nest_in_diffs,
    nest_in_branches,
]
NESTS_BY_NAME = {nest.__name__: nest for nest in NESTS}


def drop_and_collect(name: str) -> int:
    """Drop a nest, and let the collector free another one in a cycle; return what is left."""
    before = count_maps()
    with_small_stack([NESTS_BY_NAME[name]()].clear)
    left = count_maps() - before
    cycle = [NESTS_BY_NAME[name]()]
    cycle.append(cycle)
    del cycle
    with_small_stack(gc.collect)
    return left + count_maps() - before


def count_maps() -> int:
    gc.collect()
    return sum(type(found).__module__.startswith("ctxvars") for found in gc.get_objects())


@pytest.mark.parametrize("nest", NESTS, ids=lambda nest: nest.__name__)
def test_dropping_a_deep_nest(nest: Callable[[], Any]) -> None:
    assert in_subprocess(drop_and_collect, nest.__name__) <= 0


RECURSIONS: dict[str, Callable[[Any, Any], object]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "hash": lambda one, other: hash(one),
    "repr": lambda one, other: repr(one),
    "deepcopy": lambda one, other: copy.deepcopy(one),
    "diff": lambda one, other: one.diff(other),
    "merge": lambda one, other: Map().merge(one, other, resolve=lambda *_: 0),
    "in values": lambda one, other: one in Map(inner=other).values(),
    "items ==": lambda one, other: one.items() == other.items(),
    "diff ==": lambda one, other: Map().diff(one) == Map().diff(other),
    "mutation ==": lambda one, other: one.mutate() == other.mutate(),
    "repr of a view": lambda one, other: repr(one.values()),
    "repr of a mutation": lambda one, other: repr(one.mutate()),
    **{
        f"pickle {protocol}": lambda one, other, protocol=protocol: len(  # type: ignore[misc]
            pickle.dumps(one, protocol)
        )
        for protocol in (2, 5)
    },
}


def nest_in_large_maps() -> Any:
    """Each level is a trie of several levels, which are on the stack at the same time."""
    nested: Any = 0
    filler = Map({number: number for number in range(5000)})
    for _ in range(DEEP // 20):
        nested = filler.set("inner", nested)
    return nested


def recurse(name: str) -> dict[str, str]:
    """Return the outcome of each operation on two equal nests that share no inner maps."""
    nest = {"small maps": nest_in_values, "large maps": nest_in_large_maps}[name]
    one, other = nest(), nest()
    results = {}
    for name, operation in RECURSIONS.items():
        try:
            results[name] = type(operation(one, other)).__name__
        except RecursionError:
            results[name] = "RecursionError"
        # The recursion depth is as before: small recursions still work.
        assert Map(a=Map(b=Map())) == Map(a=Map(b=Map()))
        assert repr(Map(a=Map())) == "ctxvars.Map({'a': ctxvars.Map({})})"
    return results


@pytest.mark.parametrize("name", ["small maps", "large maps"])
def test_deep_nests_end_in_recursion_errors(name: str) -> None:
    results = in_subprocess(recurse, name, timeout=120)
    assert results.keys() == RECURSIONS.keys()
    # A hash can be computed without recursion, from the cached hashes of the inner maps.
    assert {name for name, result in results.items() if result != "RecursionError"} <= {"hash"}


def recurse_in_keys() -> int:
    """Equal nests as keys are compared, and hashed, all the way down."""
    failures = 0
    one, other = nest_in_keys(), nest_in_keys()
    assert hash(one) == hash(other)
    for operation in (
        lambda: one == other,
        lambda: Map({one: 1}).get(other),
        lambda: Map({one: 1}) == Map({other: 1}),
        lambda: Map({one: 1}).set(other, 2),
        lambda: operator_in_mutation(one, other),
    ):
        try:
            operation()
        except RecursionError:
            failures += 1
        assert Map({Map(): 1})[Map()] == 1
    return failures


def operator_in_mutation(one: Any, other: Any) -> None:
    mutation = Map({one: 1}).mutate()
    try:
        mutation[other] = 2
    finally:
        assert len(mutation) == 1


def test_deep_nests_as_keys() -> None:
    assert in_subprocess(recurse_in_keys, timeout=120) == 5


def test_nests_that_share_everything_are_compared_at_once() -> None:
    """Identical maps are equal without recursion."""
    nested = nest_in_values([])
    assert Map(a=nested) == Map(a=nested)
    assert not Map(a=nested).diff(Map(a=nested, b=1)).changed
    assert Map(a=nested).merge(Map(a=nested), Map(a=nested, b=1)).keys() == {"a", "b"}
