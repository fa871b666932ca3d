"""`freeze` and `thaw` convert nested collections, and are inverse to one another."""

from __future__ import annotations

import gc
import weakref
from collections import OrderedDict, UserDict, defaultdict, namedtuple
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxvars import Map, Set, freeze, thaw

ATOMS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
VALUES = st.recursive(
    ATOMS | st.sets(st.integers(0, 3), max_size=2),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(ATOMS, below, max_size=3),
    max_leaves=10,
)
"""Values of dicts, lists, sets and atoms."""


class Point(NamedTuple):
    x: Any
    y: Any


def types_in(value: Any) -> set[type]:
    found = {type(value)}
    if isinstance(value, dict | Map):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        found.update(*(types_in(item) for item in value))
    return found


@given(VALUES)
def test_thaw_is_the_inverse_of_freeze(value: Any) -> None:
    frozen = freeze(value)
    assert not types_in(frozen) & {dict, list, set}
    thawed = thaw(frozen)
    assert thawed == value
    assert not types_in(thawed) & {Map, tuple, Set}
    assert freeze(thawed) == frozen


@given(VALUES)
def test_frozen_values_can_be_hashed_and_stay(value: Any) -> None:
    frozen = freeze(value)
    assert hash(frozen) == hash(freeze(value))
    assert freeze(frozen) is frozen


@given(VALUES)
def test_the_original_does_not_change(value: Any) -> None:
    before = repr(value)
    frozen = freeze(value)
    thaw(frozen)
    assert repr(value) == before


def test_the_types_of_the_results() -> None:
    frozen = freeze({"map": {}, "list": [], "set": set()})
    assert {key: type(value) for key, value in frozen.items()} == {
        "map": Map,
        "list": tuple,
        "set": Set,
    }
    thawed = thaw(frozen)
    assert {key: type(value) for key, value in thawed.items()} == {
        "map": dict,
        "list": list,
        "set": set,
    }


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict, MappingProxyType, Map])
def test_any_mapping_is_converted(kind: Any) -> None:
    frozen = freeze(kind({"a": [1]}))
    assert (type(frozen), frozen) == (Map, {"a": (1,)})
    thawed = thaw(kind({"a": (1,)}))
    assert (type(thawed), thawed) == (dict, {"a": [1]})


def test_subclasses_of_lists_are_converted() -> None:
    class Stack(list[Any]):
        pass

    assert freeze(Stack([[1]])) == ((1,),)
    assert type(thaw(Stack([1]))) is list


def test_a_defaultdict_gets_no_new_keys() -> None:
    counts: defaultdict[str, list[int]] = defaultdict(list, a=[1])
    assert freeze(counts) == {"a": (1,)}
    assert [*counts] == ["a"]


def test_named_tuples_stay_named_tuples() -> None:
    untyped = namedtuple("untyped", "field")
    frozen = freeze([Point([1], 2), untyped({3})])
    assert frozen == (Point((1,), 2), untyped({3}))
    assert [type(each) for each in frozen] == [Point, untyped]
    assert [type(each) for each in thaw(frozen)] == [Point, untyped]
    assert thaw(frozen) == [Point([1], 2), untyped({3})]


def test_unchanged_tuples_maps_and_frozensets_are_shared() -> None:
    shared: list[Any] = [(1, (2,)), Map(a=Map(b=(1,))), frozenset({1}), Set({2}), Point(1, ())]
    frozen = freeze(shared)
    assert all(new is old for new, old in zip(frozen, shared, strict=True))


def test_a_map_shares_the_values_that_are_frozen_already() -> None:
    map = Map(a=Map(b=1), c=[])
    frozen = freeze(map)
    assert frozen == {"a": {"b": 1}, "c": ()}
    assert frozen["a"] is map["a"]


def test_keys_and_elements_stay() -> None:
    key = (1, frozenset({2}))
    assert thaw({key: 1}) == {key: 1}
    assert thaw(Set([key])) == {key}
    assert next(iter(thaw(Set([key])))) is key


@pytest.mark.parametrize("value", [1, "text", b"bytes", bytearray(b"x"), object(), range(3), len])
def test_other_objects_stay(value: Any) -> None:
    assert freeze(value) is value
    assert thaw(value) is value
    assert freeze([value])[0] is value


def test_an_object_at_several_places_is_frozen_once() -> None:
    shared = [{"deep": [1]}]
    frozen = freeze([shared, shared])
    assert frozen[0] is frozen[1]


def test_each_place_gets_a_thawed_collection_for_itself() -> None:
    shared = Map(a=())
    first, second = thaw((shared, shared))
    first["a"].append(1)
    assert (first, second) == ({"a": [1]}, {"a": []})


def test_many_levels_that_are_shared_are_frozen_quickly() -> None:
    value: Any = []
    for _ in range(200):
        value = [value, value]
    frozen = freeze(value)
    assert frozen[0] is frozen[1]


@pytest.mark.parametrize("convert", [freeze, thaw])
def test_a_collection_that_contains_itself_raises_with_the_path(convert: Any) -> None:
    inner: dict[str, Any] = {}
    outer = {"a": [0, inner]}
    inner["back"] = outer
    name = convert.__name__
    with pytest.raises(ValueError, match="contains itself") as raised:
        convert(outer)
    message = f"cannot {name} a 'dict' that contains itself, at the path ('a', 1, 'back')"
    assert str(raised.value) == message


def test_a_map_that_contains_itself_through_a_list_cannot_be_thawed() -> None:
    items: list[Any] = []
    map = Map(items=items)
    items.append(map)
    with pytest.raises(ValueError, match=r"a 'Map' that contains itself, at the path \('items', 0"):
        thaw(map)


def test_an_equal_collection_is_not_a_cycle() -> None:
    assert freeze([[[]], []]) == (((),), ())
    assert thaw(({}, {"a": {}})) == [{}, {"a": {}}]


def test_no_collection_is_kept_alive() -> None:
    class Items(list[Any]):
        pass

    items = Items([1])
    reference = weakref.ref(items)
    freeze([items, items])
    del items
    gc.collect()
    assert reference() is None


def test_the_functions_are_public() -> None:
    assert (freeze.__module__, thaw.__module__) == ("ctxvars", "ctxvars")
