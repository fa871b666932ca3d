"""Equality, hash and order of maps depend on their content only."""

from __future__ import annotations

import collections
import random
import sys
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ctxvars import Map
from tests.support.map.keys import unequal

SIZES = [0, 1, 3, 16, 17, 100, 1000]


def numbered(size: int) -> Map[int, str]:
    return Map({number: f"value {number}" for number in range(size)})


class Proxy(Mapping[Any, Any]):
    def __init__(self, content: Mapping[Any, Any]) -> None:
        self.content = content

    def __getitem__(self, key: Any) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)


MAPPINGS: list[Callable[[dict[Any, Any]], Any]] = [
    dict,
    Map,
    lambda content: Map(content).mutate(),
    types.MappingProxyType,
    collections.UserDict,
    collections.ChainMap,
    collections.OrderedDict,
    lambda content: collections.defaultdict(list, content),
    Proxy,
    lambda content: weakref.WeakValueDictionary() if not content else dict(content),
]
if sys.version_info >= (3, 15):
    MAPPINGS.append(frozendict)  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("other", range(len(MAPPINGS)))
def test_equality_with_any_mapping(other: int, size: int) -> None:
    content = dict(numbered(size))
    wrong = [{**content, "more": 1}]
    if size:
        wrong += [{**content, 0: "other"}, {**dict(list(content.items())[1:]), "else": 1}]
        wrong += [dict(list(content.items())[1:])]
    for ours in (Map(content), Map(content).mutate()):
        equal = MAPPINGS[other](content)
        assert ours == equal
        assert equal == ours
        assert not unequal(ours, equal)
        assert not unequal(equal, ours)
        for different in map(MAPPINGS[other], wrong):
            assert ours != different
            assert different != ours
            assert (ours == different) is False
            assert (different == ours) is False


def test_equality_with_what_is_no_mapping() -> None:
    for other in (1, None, [], (), set(), "", object(), Map, {1: 2}.items()):
        for ours in (Map(), Map({1: 2}), Map().mutate()):
            assert ours != other
            assert other != ours
            assert type(ours).__eq__(ours, other) is NotImplemented
            assert type(ours).__ne__(ours, other) is NotImplemented


def test_values_are_compared_by_identity_first() -> None:
    nan = float("nan")
    assert Map(a=nan) == Map(a=nan) == {"a": nan}
    assert Map(a=nan) != Map(a=float("nan"))
    assert Map(a=1) == Map(a=True) == {"a": 1.0}


@pytest.mark.parametrize("size", SIZES)
def test_hash_is_that_of_the_items(size: int) -> None:
    map_ = numbered(size)
    assert hash(map_) == hash(frozenset(map_.items())) == hash(Map(dict(map_)))
    assert hash(map_.set("x", 1).delete("x")) == hash(map_)
    assert {map_: 1}[Map(dict(map_))] == 1
    assert hash(Map({map_: map_})) == hash(frozenset({(map_, map_)}))
    if sys.version_info >= (3, 15):
        assert hash(map_) == hash(frozendict(map_))  # type: ignore[name-defined]  # noqa: F821


def test_hashes_follow_edits_in_place() -> None:
    """Maps and nodes cache their hashes, which must not outlive an edit."""
    chance = random.Random(1)
    for size in (3, 17, 40, 300):
        content = {number: number for number in range(size)}
        map_ = Map(content)
        for _ in range(60):
            assert hash(map_) == hash(frozenset(content.items()))
            mutation = map_.mutate()
            # Without the map the mutation is the only owner of the nodes.
            del map_
            for _ in range(chance.randint(1, 4)):
                key = chance.randint(0, size + 20)
                if chance.random() < 0.6:
                    mutation[key] = content[key] = chance.randint(0, 9)
                else:
                    mutation.discard(key)
                    content.pop(key, None)
                if chance.random() < 0.2:
                    assert hash(Map(mutation)) == hash(frozenset(content.items()))
            map_ = mutation.finish()
            del mutation
            assert map_ == content


def test_an_unhashable_value_is_named() -> None:
    for value, name in [([], "list"), ({}, "dict"), (Map(a=[]), "list"), ((1, set()), "set")]:
        for size in (0, 20):
            map_ = numbered(size).set("key", value)
            for _ in range(2):
                with pytest.raises(TypeError, match=f"unhashable.*'{name}'"):
                    hash(map_)


def test_equal_maps_iterate_in_one_order() -> None:
    content = {f"key {number}": number for number in range(500)}
    one = Map(content)
    other: Map[str, int] = Map()
    for key in reversed(content):
        other = other.set(key, content[key])
    detour = one.update(dict.fromkeys(range(500), 0)).difference(range(500))
    mutation = Map(dict.fromkeys(range(90))).mutate()
    mutation.update(content)
    for number in range(90):
        del mutation[number]
    assert list(one) == list(other) == list(detour) == list(mutation.finish())
    assert list(one.items()) == list(zip(one.keys(), one.values(), strict=True))
    assert list(one.items()) == list(other.items())
