"""The collector tracks only maps that refer to tracked objects.

`dict` and `tuple` have the same rule: a million items of `str` and `int` cost a collection nothing.
"""

from __future__ import annotations

import gc
import weakref

import pytest

from ctxvars import Map
from tests.support.gc.values import Value

SIZES = [1, 16, 17, 100, 1000]


ATOMS = [1, "text", b"bytes", 1.5, None, True, (), ..., 10**30]


@pytest.mark.parametrize("size", SIZES)
def test_maps_of_atoms_are_not_tracked(size: int) -> None:
    atoms = {f"key {number}": ATOMS[number % len(ATOMS)] for number in range(size)}
    map_ = Map(atoms)
    for untracked in (
        map_,
        Map.fromkeys(range(size), "value"),
        map_.set(1, 2).delete(1),
        map_ | {"more": 1},
        map_.filter(lambda key, value: value != 1),
        map_.map_values(str),
        map_.difference(["key 0"]),
        map_.merge(map_.set("a", 1), map_.set("b", 2)),
        map_.mutate().finish(),
        map_.diff({}).removed,
    ):
        assert not gc.is_tracked(untracked)
    visible = len(gc.get_objects())
    kept = [map_.set("another", number) for number in range(50)]
    assert len(gc.get_objects()) - visible <= 2
    assert len(kept) == 50


@pytest.mark.parametrize("size", SIZES)
def test_maps_with_an_object_are_tracked(size: int) -> None:
    atoms = Map({f"key {number}": number for number in range(size)})
    with_list = atoms.set("list", [])
    assert gc.is_tracked(with_list)
    assert not gc.is_tracked(atoms)
    for tracked in (
        Map({**atoms, "list": []}),
        atoms | {"list": []},
        atoms.set(Value(), 1),
        atoms.map_values(lambda value: [value]),
        with_list.set("more", 1),
        Map.fromkeys(range(size), []),
        Map(inner=with_list),
        atoms.set("key 0", {}),
    ):
        assert gc.is_tracked(tracked)
    mutation = atoms.mutate()
    mutation["list"] = []
    assert gc.is_tracked(mutation.finish())
    # Only the path to the list, not the whole map, is visible to the collector.
    found, paths = [with_list], 0
    while found:
        found = [o for f in found for o in gc.get_referents(f) if "ctxvars" in type(o).__module__]
        found = [node for node in found if gc.is_tracked(node)]
        paths += len(found)
    assert paths <= 5


def test_a_map_of_maps_of_atoms_is_found_all_the_same() -> None:
    """A cycle through the inner maps of a map is collected."""
    inner = Map(a=1)
    for size in SIZES:
        outer = Map(dict.fromkeys(range(size), inner))
        value = Value()
        weak = weakref.ref(value)
        value.refs = [outer.set("inner", Map(v=value))]
        del value, outer
        gc.collect()
        assert weak() is None
