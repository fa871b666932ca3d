"""Repeated operations, including failing ones, leave counts and memory as they were."""

from __future__ import annotations

from typing import Any

import pytest

import ctxvars
from ctxvars import Map
from tests.support.gc.values import Value
from tests.support.map.operations import Key, loops
from tests.support.memory.growth import added_by, blocks_left_by, changed_counts
from tests.support.subprocesses import in_subprocess

NAMES = list(loops(Map(), Key(0, "full"), Key(1, "full"), None, "full"))


@pytest.mark.usefixtures("only_new_objects")
@pytest.mark.parametrize("cut", ["full", "0 bits"])
@pytest.mark.parametrize("size", [2, 40])
@pytest.mark.parametrize("name", NAMES)
def test_reference_counts_and_objects_stay_flat(name: str, size: int, cut: str) -> None:
    keys = [Key(number, cut) for number in range(size)]
    values = [Value() for _ in range(size)]
    map_ = Map(zip(keys, values, strict=True))
    missing, value = Key("missing", cut), Value()
    if name == "conflict" and not map_:
        pytest.skip("nothing to conflict about")
    loop = loops(map_, keys[1], missing, value, cut)[name]
    counted: list[object] = [*keys[:3], *values[:3], map_, missing, value, Map, Value, Key]
    counted += [type(iter(map_)), type(map_.keys()), type(map_.items()), ctxvars.MapMutation]

    # Free lists and caches of the interpreter may change a count by a few, but not once a round.
    changed = changed_counts(loop, counted, warm_up=5, times=60)
    assert all(abs(it) < 20 for it in changed), changed


def memory_of_operations() -> list[dict[str, int]]:
    """What 2 000 rounds of operations add to the memory in use, per kind of keys."""
    grown = []
    for cut in ("full", "4 deep bits"):
        keys = [Key(number, cut) for number in range(60)]

        def work(rounds: int, keys: list[Key] = keys) -> None:
            map_ = Map.fromkeys(keys[:40])
            for number in range(rounds):
                map_ = map_.set(keys[number % 60], [number]).discard(keys[number * 7 % 60])
                with map_.mutate() as mutation:
                    for step in range(5):
                        mutation[keys[(number + step) % 60]] = number
                        mutation.discard(keys[(number * 3 + step) % 60])
                other = mutation.finish()
                map_ = map_.apply(map_.diff(other)).filter(lambda key, value: value is not None)
                merged = map_.merge(other, map_.set(keys[0], 0), resolve=lambda *_: 1)
                for _ in merged.items():
                    break

        grown.append(added_by(work, 200))
    return grown


def test_memory_is_flat_over_many_operations() -> None:
    for added in in_subprocess(memory_of_operations):
        assert added["blocks"] < 200
        assert added.get("malloc", 0) < 20_000
        assert added.get("resident", 0) < 2 << 20


def blocks_after_floods() -> list[int]:
    """Blocks that stay allocated after each of several floods of objects."""

    def flood() -> None:
        maps: list[Any] = [
            Map({number: [number], "x": [size] * size}) for number in range(3000) for size in (1,)
        ]
        maps += [Map({n: [n] for n in range(size)}) for size in range(60) for _ in range(20)]
        maps += [map_.set("more", []) for map_ in maps]
        maps += [iter(map_.items()) for map_ in maps[:3000]]
        maps += [map_.mutate() for map_ in maps[:3000]]
        maps += [map_.keys() for map_ in maps[:3000]]

    return blocks_left_by(flood)


def test_free_lists_are_bounded() -> None:
    left = in_subprocess(blocks_after_floods)
    # The floods were of more than 20 000 objects.
    assert max(left) < 5_000
    assert max(left[1:]) - min(left[1:]) < 200
