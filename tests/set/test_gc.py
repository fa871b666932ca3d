"""Sets and the garbage collector: tracking, cycles, leaks, and freeing deep nests."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Map, Set
from tests.support.gc.values import Value
from tests.support.map.operations import Failing, Key, raises
from tests.support.memory.growth import changed_counts

SIZES = [1, 16, 17, 100, 1000]


@pytest.mark.parametrize("size", SIZES)
def test_sets_of_atoms_are_not_tracked(size: int) -> None:
    atoms = Set(range(size))
    for untracked in (
        atoms,
        Set(),
        atoms.add("a"),
        atoms.discard(0),
        atoms | {"b"},
        atoms & {0},
        atoms ^ {"c"},
        pickle.loads(pickle.dumps(atoms)),
    ):
        assert not gc.is_tracked(untracked)
    assert not gc.is_tracked(iter(atoms))


@pytest.mark.parametrize("size", SIZES)
def test_sets_with_an_object_are_tracked(size: int) -> None:
    with_value = Set(range(size)).add(Value())
    for tracked in (with_value, with_value.add("a"), with_value | {"b"}, Set([Set()])):
        assert gc.is_tracked(tracked)
    assert not gc.is_tracked(with_value - with_value)


@pytest.mark.parametrize("size", SIZES)
def test_cycles_through_sets_are_collected(size: int) -> None:
    values = [Value() for _ in range(size)]
    own = Set(values)
    derived = own.add(1) | {2}
    for value in values:
        value.refs = [own, derived, iter(derived), {own: value}]
    alive = weakref.WeakSet(values)
    del values, value, own, derived
    gc.collect()
    assert not [*alive]


def test_what_a_set_refers_to_stays_alive() -> None:
    own = Set([Value(1)]).add(Value(2))
    (one, other) = [weakref.ref(value) for value in own]
    gc.collect()
    assert one() in own
    assert other() in own
    own = own.filter(lambda value: value.number == 2)
    gc.collect()
    assert sum(reference() is not None for reference in (one, other)) == 1


def test_deep_nests_are_freed_without_a_deep_stack() -> None:
    nested: Any = Set()
    for _ in range(200_000):
        nested = Set([nested])
    del nested
    mixed: Any = ()
    for number in range(60_000):
        mixed = (mixed, Set([mixed]), Map({1: Set([Map(a=1)])}).set(2, mixed))[number % 3]
    del mixed
    gc.collect()


def loops(own: Set[Any], element: Any, missing: Any) -> dict[str, Callable[[], object]]:
    other = own.add(missing).discard(element)
    return {
        "new": lambda: (Set(own), Set([*own]), Set(Map.fromkeys(own)), Set()),
        "in": lambda: (element in own, missing in own, {1} in own),
        "edit": lambda: (own.add(missing), own.remove(element), own.discard(missing)),
        "no such element": lambda: raises(KeyError, own.remove, missing),
        "unhashable": lambda: (raises(TypeError, own.add, []), raises(TypeError, own.remove, [])),
        "element fails": lambda: raises(ZeroDivisionError, own.add, Failing()),
        "algebra": lambda: (own | other, own & other, own - other, own ^ other),
        "algebra with sets": lambda: (own | {*other}, {*other} & own, {*other} - own, own ^ {*own}),
        "methods": lambda: (own.union([missing], other), own.intersection([*own], own)),
        "more methods": lambda: (own.difference(other), own.symmetric_difference([missing])),
        "compare": lambda: (own == other, own < {*own}, own >= other, own != 1, own == [*own]),
        "subsets": lambda: (own.issubset(other), own.issubset([*own]), own.issuperset([missing])),
        "isdisjoint": lambda: (own.isdisjoint(other), own.isdisjoint([missing])),
        "views": lambda: (own & Map.fromkeys(own).keys(), Map.fromkeys(own).keys() ^ other),
        "hash": lambda: (hash(own), hash(own.add(missing))),
        "repr": lambda: (repr(own), repr(Set())),
        "copy": lambda: (own.copy(), copy.copy(own), copy.deepcopy(own)),
        "pickle": lambda: (own.__reduce__(), pickle.loads(pickle.dumps(Set("ab")))),
        "filter": lambda: own.filter(lambda it: it is element),
        "iterate": lambda: ([*own], next(iter(own))),
        "weak reference": lambda: weakref.ref(own.add(missing)),
        "wrong calls": lambda: (raises(TypeError, Set, 1), raises(TypeError, own.add)),
    }


NAMES = [*loops(Set([1]), 1, 2)]


@pytest.mark.usefixtures("only_new_objects")
@pytest.mark.parametrize("cut", ["full", "0 bits"])
@pytest.mark.parametrize("size", [2, 40])
@pytest.mark.parametrize("name", NAMES)
def test_reference_counts_stay_flat(name: str, size: int, cut: str) -> None:
    keys = [Key(number, cut) for number in range(size)]
    own, missing = Set(keys), Key("missing", cut)
    loop = loops(own, keys[1], missing)[name]
    counted: list[object] = [*keys[:3], own, missing, Set, Key, type(iter(own))]
    changed = changed_counts(loop, counted, warm_up=5, times=60)
    assert all(abs(it) < 20 for it in changed), changed
