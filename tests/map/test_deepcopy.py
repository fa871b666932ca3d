"""`copy.deepcopy` of maps that share parts visits each part once."""

from __future__ import annotations

import collections
import copy
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Map
from tests.support.map.keys import CUTS


class Constant:
    """An object whose copy is itself, and that counts its copies."""

    def __init__(self) -> None:
        self.asked = 0

    def __deepcopy__(self, memo: object) -> Constant:
        self.asked += 1
        return self


class Key(Constant):
    def __init__(self, name: int, hash_: int) -> None:
        super().__init__()
        self.name, self.hash = name, hash_

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.name == other.name


# Arguments that `copy.deepcopy` accepts as a memo.
MEMOS: list[Callable[[], Any]] = [dict, collections.UserDict]


def nested(innermost: Map[Any, Any], levels: int) -> Map[Any, Any]:
    """Each level holds the one below it twice."""
    map_ = innermost
    for _ in range(levels):
        map_ = Map(a=map_, b=map_)
    return map_


@pytest.mark.parametrize("make_memo", MEMOS)
def test_a_nest_is_visited_once(make_memo: Callable[[], Any]) -> None:
    leaf = Constant()
    map_ = nested(Map(leaf=leaf), 60)
    assert copy.deepcopy(map_, make_memo()) is map_
    assert leaf.asked == 1


def test_a_nest_that_changes_is_copied_once() -> None:
    """If the innermost value is copied, the copies share their parts as the originals do."""
    map_ = nested(Map(leaf=[1]), 60)
    copied: Any = copy.deepcopy(map_)
    for _ in range(60):
        assert copied["a"] is copied["b"]
        copied = copied["a"]
    assert copied == {"leaf": [1]}


def test_a_call_by_hand_visits_once() -> None:
    leaf = Constant()
    map_ = nested(Map(leaf=leaf), 20)
    memo: dict[int, Any] = {}
    assert map_.__deepcopy__(memo) is map_
    assert map_.__deepcopy__(memo) is map_
    assert leaf.asked == 1
    assert map_.__deepcopy__(None) is map_  # type: ignore[arg-type]
    assert leaf.asked == 2


@pytest.mark.parametrize("cut", CUTS)
def test_versions_visit_shared_entries_once(cut: str) -> None:
    keys = [Key(number, CUTS[cut](hash((number, "key")))) for number in range(200)]
    values = [Constant() for _ in keys]
    map_ = Map(zip(keys, values, strict=True))
    versions = [map_]
    for number in range(50):
        versions.append(versions[-1].set(keys[number], number))
    assert all(one is other for one, other in zip(copy.deepcopy(versions), versions, strict=True))
    asked = sum(value.asked for value in values)
    if cut in ("full", "4 deep bits"):
        # The first version copies all values; each later one at most those of one leaf.
        assert 200 <= asked <= 200 + 50 * 16
    assert all(value.asked >= 1 for value in values)


def test_an_entry_that_changes_leaves_the_others_shared() -> None:
    values = [Constant() for _ in range(1000)]
    map_ = Map(enumerate(values))
    memo: dict[int, Any] = {}
    assert copy.deepcopy(map_, memo) is map_
    changing = [1]
    copied = copy.deepcopy([map_.set("list", changing), map_.set("list", changing)], memo)
    assert copied[0] == copied[1] == map_.set("list", [1])
    assert copied[0]["list"] is copied[1]["list"] is not changing
    assert sum(value.asked for value in values) < 1000 + 2 * 16


class Renamed(Key):
    """A key whose copy is another object with another hash."""

    def __deepcopy__(self, memo: object) -> Renamed:
        self.asked += 1
        return Renamed(self.name, self.hash + 1)


@pytest.mark.parametrize("share", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 16, 17, 300])
def test_keys_that_change_are_found_in_the_copy(size: int, share: int) -> None:
    def key(number: int) -> Key:
        return (Renamed if number % share == 0 else Key)(number, number * 7)

    map_ = Map({key(number): ([number] if number % 3 else number) for number in range(size)})
    memo: dict[int, Any] = {}
    for copied in (copy.deepcopy(map_, memo), copy.deepcopy(map_.set("x", 1), memo).delete("x")):
        assert len(copied) == size
        for original in map_:
            assert isinstance(original, Key)
            moved = Key(original.name, original.hash + isinstance(original, Renamed))
            assert copied[moved] == map_[original]
        kept = {id(original) for original in map_ if not isinstance(original, Renamed)}
        assert kept <= {id(original) for original in copied}


def test_keys_whose_copies_are_equal_become_one() -> None:
    class Merging(Key):
        def __deepcopy__(self, memo: object) -> str:  # type: ignore[override]
            return "one"

    copied: Any = copy.deepcopy(Map({Merging(1, 1): "a", Merging(2, 2): "b"}))
    assert list(copied) == ["one"]
    assert copied["one"] in ("a", "b")


@pytest.mark.parametrize("size", [1, 17, 300])
def test_a_copy_that_raises_changes_nothing(size: int) -> None:
    class Failing:
        fails = True

        def __deepcopy__(self, memo: object) -> Failing:
            if self.fails:
                raise ZeroDivisionError
            return self

    failing = Failing()
    values = [Constant() for _ in range(size)]
    map_: Map[Any, Any] = Map([*enumerate(values), ("failing", failing)])
    before = dict(map_)
    memo: dict[int, Any] = {}
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            copy.deepcopy(map_, memo)
    assert dict(map_) == before
    failing.fails = False
    # Copies that were made before the failure need not be made again.
    assert copy.deepcopy(map_, memo) is map_
    assert all(1 <= value.asked <= 3 for value in values)


def test_the_memo_keeps_what_it_knows_alive() -> None:
    """A map that is freed during the copy must not pass its identity to another map."""

    class Temporary:
        """Reduces to maps without other references."""

        def __init__(self, number: int) -> None:
            self.number = number

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            made: Map[Any, Any] = Map(dict.fromkeys(range(20), self.number))
            return copy.deepcopy(made, memo)

    copied = copy.deepcopy([Temporary(number) for number in range(100)])
    for number, map_ in enumerate(copied):
        assert map_ == dict.fromkeys(range(20), number)
