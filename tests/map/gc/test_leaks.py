"""Operations repeated, failing ones among them: counts of references and of objects stay flat."""

from __future__ import annotations

import gc
import resource
import sys
import tracemalloc
from typing import Any

import pytest

import ctxvars
from ctxvars import Map
from tests.support.isolated import isolated
from tests.support.map.operations import Key, Value, loops

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

    def state() -> list[int]:
        gc.collect()
        return [sys.getrefcount(one) for one in counted] + [len(gc.get_objects())]

    for _ in range(5):
        loop()
    before = state()
    for _ in range(60):
        loop()
    after = state()
    # Free lists and caches of the interpreter may move a count by a few, but not once a round.
    assert all(abs(new - old) < 20 for old, new in zip(before, after, strict=True)), (before, after)


def memory_of_operations() -> list[tuple[int, int]]:
    """Growth of traced memory, and of the resident set (KiB), per kind of keys."""
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

        def measured(rounds: int, work: Any = work) -> tuple[int, int]:
            work(rounds)
            gc.collect()
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return tracemalloc.get_traced_memory()[0], resident

        measured(200)
        tracemalloc.start()
        before = measured(200)
        after = measured(2_000)
        tracemalloc.stop()
        grown.append((after[0] - before[0], after[1] - before[1]))
    return grown


def test_memory_is_flat_over_many_operations() -> None:
    for traced, resident in isolated(memory_of_operations):
        assert traced < 20_000
        assert resident < 2048


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

    left = []
    before = sys.getallocatedblocks()
    for _ in range(5):
        flood()
        gc.collect()
        left.append(sys.getallocatedblocks() - before)
    return left


def test_free_lists_are_bounded() -> None:
    left = isolated(blocks_after_floods)
    # The floods were of more than 20 000 objects.
    assert max(left) < 5_000
    assert max(left[1:]) - min(left[1:]) < 200
