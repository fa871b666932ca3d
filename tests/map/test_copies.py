"""Copies, pickles and representations of maps, plain, nested and in cycles."""

from __future__ import annotations

import copy
import pickle
import reprlib
import sys
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, Change, Conflict, Map, MergeConflict
from tests.support.map.keys import CUTS, Key, cut_key
from tests.support.subprocesses import in_subprocess

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
SIZES = [0, 1, 16, 17, 100, 1000]


class Holder:
    """An object that refers to a map that refers to the object."""

    def __init__(self) -> None:
        self.map: Any = None


def through_pickle(protocol: int) -> Callable[[Any], Any]:
    return lambda object_: pickle.loads(pickle.dumps(object_, protocol))


COPIERS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": through_pickle(protocol) for protocol in PROTOCOLS},
}


@pytest.mark.parametrize("how", COPIERS)
@pytest.mark.parametrize("size", SIZES)
def test_copies_are_equal(size: int, how: str) -> None:
    map_ = Map({number: [number] for number in range(size)})
    copied = COPIERS[how](map_)
    assert type(copied) is Map
    assert copied == map_
    assert list(copied) == list(map_)
    assert all(copied[number] is not map_[number] for number in map_)
    nested = COPIERS[how](Map(a=map_, b=[map_]))
    assert nested == {"a": map_, "b": [map_]}
    # Shared objects are shared again.
    assert nested["a"] is nested["b"][0]


@pytest.mark.parametrize("how", COPIERS)
@pytest.mark.parametrize("cut", CUTS)
def test_copies_with_any_cut_of_hashes(cut: str, how: str) -> None:
    map_ = Map({cut_key(number, cut): str(number) for number in range(50)})
    copied = COPIERS[how](map_)
    assert copied == map_
    assert all(copied[cut_key(number, cut)] == str(number) for number in range(50))


def test_keys_may_hash_otherwise_in_another_process() -> None:
    """A pickle must not depend on hashes, as those of strings differ between processes."""
    map_ = Map({f"key {number}": number for number in range(100)})
    data = pickle.dumps(map_)
    assert in_subprocess(all_found, data, options=("-R",)) == 100


def all_found(data: bytes) -> int:
    map_ = pickle.loads(data)
    return sum(map_[f"key {number}"] == number for number in range(100))


def test_copy_is_the_map_itself() -> None:
    map_ = Map({1: []})
    assert copy.copy(map_) is map_
    assert map_.copy() is map_


@pytest.mark.parametrize("size", SIZES)
def test_deepcopy_of_what_cannot_change_is_the_map_itself(size: int) -> None:
    map_ = Map({number: (str(number), None, b"bytes") for number in range(size)})
    assert copy.deepcopy(map_) is map_
    assert copy.deepcopy([map_, map_])[1] is map_
    assert copy.deepcopy(Map(nested=map_))["nested"] is map_
    changeable: list[Any] = []
    copied = copy.deepcopy(map_.set("list", changeable))
    assert copied["list"] == []
    assert copied["list"] is not changeable
    assert copied.delete("list") == map_


def test_deepcopy_copies_keys_too() -> None:
    key = Key("payload")
    copied = copy.deepcopy(Map({key: 1}))
    (copied_key,) = copied
    assert copied_key is not key
    assert copied_key == key
    assert copied[key] == 1


def cycle_through_a_list() -> tuple[Any, Callable[[Any], Any]]:
    between: list[Any] = []
    map_ = Map({"list": between, "number": 1})
    between.append(map_)
    return map_, lambda copied: copied["list"][0]


def cycle_through_an_object() -> tuple[Any, Callable[[Any], Any]]:
    holder = Holder()
    holder.map = Map({"holder": holder, "number": 1})
    return holder.map, lambda copied: copied["holder"].map


def cycle_through_a_dict_and_a_tuple() -> tuple[Any, Callable[[Any], Any]]:
    between: dict[str, Any] = {}
    map_ = Map({"tuple": (between, 0), "number": 1})
    between["map"] = map_
    return map_, lambda copied: copied["tuple"][0]["map"]


def cycle_through_two_maps() -> tuple[Any, Callable[[Any], Any]]:
    between: list[Any] = []
    map_ = Map({"map": Map({"list": between}), "number": 1})
    between.append(map_)
    return map_, lambda copied: copied["map"]["list"][0]


def cycle_through_a_key() -> tuple[Any, Callable[[Any], Any]]:
    holder = Holder()
    holder.map = Map({holder: "holder", "number": 1})
    return holder.map, lambda copied: next(key for key in copied if type(key) is Holder).map


CYCLES = [
    cycle_through_a_list,
    cycle_through_an_object,
    cycle_through_a_dict_and_a_tuple,
    cycle_through_two_maps,
    cycle_through_a_key,
]


@pytest.mark.parametrize("how", COPIERS)
@pytest.mark.parametrize("make", CYCLES, ids=lambda make: make.__name__)
def test_copy_of_a_cycle(make: Callable[[], tuple[Any, Callable[[Any], Any]]], how: str) -> None:
    map_, round_trip = make()
    assert round_trip(map_) is map_
    try:
        copied = COPIERS[how](map_)
    except RecursionError:
        # An object that is built from its content cannot be copied if the content contains it:
        # a tuple and a frozenset of the same shape fail in the same way.
        with pytest.raises(RecursionError):
            COPIERS[how](frozen_cycle())
        return
    assert type(copied) is Map
    assert copied["number"] == 1
    assert copied is not map_
    assert type(round_trip(copied)) is Map
    again = round_trip(copied)
    assert len(again) == len(map_)
    # The copy does not refer to the original.
    for _ in range(3):
        again = round_trip(again)
        assert again is not map_


def frozen_cycle() -> frozenset[Holder]:
    """Return a set that contains itself, which neither `copy` nor `pickle` can copy."""
    holder = Holder()
    holder.map = frozenset([holder])
    return holder.map  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", COPIERS)
def test_copy_of_a_cycle_begun_elsewhere(how: str) -> None:
    """A copy that starts at the list in the cycle copies each part once."""
    between: list[Any] = []
    between.append(Map({"list": between}))
    copied = COPIERS[how](between)
    assert type(copied[0]) is Map
    assert copied[0]["list"] is copied
    assert copied is not between


def test_pickling_fails_with_the_error_of_the_value() -> None:
    for protocol in PROTOCOLS:
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            pickle.dumps(Map(a=lambda: None), protocol)
    with pytest.raises(TypeError):
        copy.deepcopy(Map(a=sys._getframe()))


def test_mutations_views_and_iterators_are_not_pickled() -> None:
    map_ = Map(a=1)
    for object_ in (map_.mutate(), map_.keys(), map_.items(), map_.values(), iter(map_)):
        for protocol in PROTOCOLS:
            try:
                data = pickle.dumps(object_, protocol)
            except (TypeError, pickle.PicklingError):
                continue
            # If it can be pickled, it must be restored completely.
            assert list(pickle.loads(data)) == list(object_)


@pytest.mark.parametrize("how", COPIERS)
def test_the_companions_of_maps_are_copied(how: str) -> None:
    copier = COPIERS[how]
    assert copier(MISSING) is MISSING
    change, conflict = Change("key", MISSING, [1]), Conflict("key", 1, 2, MISSING)
    assert copier(change) == change
    assert type(copier(change)) is Change
    assert copier(conflict) == conflict
    diff = Map(a=1, b=2).diff(Map(b=3, c=4))
    assert copier(diff) == diff
    error = MergeConflict((conflict,))
    assert copier(error).conflicts == error.conflicts
    assert type(copier(error)) is MergeConflict


def test_reduce_rebuilds_from_a_dict() -> None:
    class_, arguments = Map({1: 2}).__reduce__()[:2]
    assert class_ is Map
    assert arguments == ({1: 2},)
    assert type(arguments[0]) is dict


# Representations.


def test_repr_is_an_expression() -> None:
    for content in ({}, {1: "a"}, {"key": [1, {2: 3}], (1, 2): None}, dict.fromkeys(range(100))):
        map_ = Map(content)
        assert eval(repr(map_), {"ctxvars": ctxvars}) == map_
        assert repr(map_) == f"ctxvars.Map({dict(map_)!r})"
        assert str(map_) == repr(map_)
        mutation = map_.mutate()
        assert repr(mutation) == f"ctxvars.MapMutation({dict(mutation)!r})"
    nested = Map(a=Map(b=Map()))
    assert repr(nested) == "ctxvars.Map({'a': ctxvars.Map({'b': ctxvars.Map({})})})"


def test_repr_of_cycles() -> None:
    for make in CYCLES:
        map_, _ = make()
        text = repr(map_)
        assert text.startswith("ctxvars.Map({")
        assert text.count("ctxvars.Map(") <= 3
        if make in (cycle_through_a_list, cycle_through_two_maps):
            assert "..." in text
    # Two occurrences side by side are not a cycle.
    inner = Map(a=1)
    assert repr(Map({1: inner, 2: inner})).count("ctxvars.Map({'a': 1})") == 2
    mutation = Map().mutate()
    mutation["self"] = mutation
    assert "..." in repr(mutation)
    between: list[Any] = []
    between.append(Map({1: between}))
    assert repr(between) == "[ctxvars.Map({1: [...]})]"


def test_repr_that_raises_leaves_no_trace() -> None:
    class Failing:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    map_ = Map(a=Failing())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            repr(map_)
    assert repr(Map(a=1)) == "ctxvars.Map({'a': 1})"


def test_repr_of_companions() -> None:
    assert repr(Change("a", 1, MISSING)) == "Change(key='a', old=1, new=<Token.MISSING>)"
    assert repr(Conflict("a", 1, 2, 3)) == "Conflict(key='a', base=1, ours=2, theirs=3)"
    diff = repr(Map(a=1, b=2).diff(Map(b=3, c=4)))
    assert "MapDiff(" in diff
    for part in ("added=", "removed=", "changed=", "'c': 4", "'a': 1", "'b': (2, 3)"):
        assert part in diff
    assert reprlib.repr(Map(a=1)) == "ctxvars.Map({'a': 1})"
