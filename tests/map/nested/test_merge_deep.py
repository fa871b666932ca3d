"""`merge_deep` agrees with a merge of nested dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from ctxvars import MISSING, Map
from tests.support.map.trees import LEVELS, TREES, mixed, plain


def merged_dicts(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        if isinstance(old.get(key), dict) and isinstance(value, dict):
            merged[key] = merged_dicts(old[key], value)
        else:
            merged[key] = value
    return merged


@given(TREES, TREES, LEVELS)
def test_merge_deep_agrees_with_a_merge_of_dicts(old: Any, new: Any, choice: Any) -> None:
    first, second = mixed(old, choice), mixed(new, choice)
    expected = merged_dicts(old, new)
    assert plain(first.merge_deep(second)) == expected
    assert plain(first.merge_deep(new)) == expected
    assert (plain(first), plain(second)) == (old, new)


@given(TREES, TREES, TREES, LEVELS)
def test_several_mappings_are_merged_one_after_the_other(
    first: Any, second: Any, third: Any, choice: Any
) -> None:
    map = mixed(first, choice)
    assert map.merge_deep(second, third) == map.merge_deep(second).merge_deep(third)


@given(TREES, LEVELS)
def test_a_merge_that_changes_nothing_is_the_map_itself(tree: Any, choice: Any) -> None:
    map = mixed(tree, choice)
    assert map.merge_deep() is map
    assert map.merge_deep({}) is map
    assert map.merge_deep(map) is map
    assert map.merge_deep(plain(map)) is map


def test_a_level_that_changes_nothing_is_shared() -> None:
    map = Map(a=Map(x=Map(deep=1)), b=Map(y=2), c={"z": 3})
    merged = map.merge_deep({"a": {"x": {"deep": 1}, "new": 0}, "c": {"z": 3}})
    assert merged["a"]["x"] is map["a"]["x"]
    assert merged["b"] is map["b"]
    assert merged["c"] is map["c"]


def test_a_mapping_that_changes_becomes_a_map() -> None:
    inner = {"x": 1}
    merged = Map(a=inner).merge_deep({"a": {"y": 2}})
    assert type(merged["a"]) is Map
    assert merged == {"a": {"x": 1, "y": 2}}
    assert inner == {"x": 1}


def test_a_new_mapping_is_taken_as_it_is() -> None:
    new = {"x": 1}
    assert Map(a=1).merge_deep({"a": new, "b": new}) == {"a": new, "b": new}
    assert Map().merge_deep({"a": new})["a"] is new


def test_resolve_chooses_a_value_for_each_key_on_both_sides() -> None:
    calls = []

    def resolve(path: tuple[Any, ...], old: Any, new: Any) -> Any:
        calls.append((path, old, new))
        return MISSING if old == 0 else old + new

    map = Map(a=Map(tags=[1], gone=0, same=None), b=5)
    other = {"a": {"tags": [2], "gone": 1, "same": None, "new": 3}, "b": 6, "c": 7}
    merged = map.merge_deep(other, resolve=resolve)
    assert merged == {"a": {"tags": [1, 2], "same": None, "new": 3}, "b": 11, "c": 7}
    assert sorted(calls) == [(("a", "gone"), 0, 1), (("a", "tags"), [1], [2]), (("b",), 5, 6)]


def test_resolve_decides_between_a_mapping_and_another_value() -> None:
    def keep(path: tuple[Any, ...], old: Any, new: Any) -> Any:
        return old

    map = Map(a=Map(b=1), c=1)
    assert map.merge_deep({"a": 1, "c": {}}, resolve=keep) is map
    assert map.merge_deep({"a": 1, "c": {}}) == {"a": 1, "c": {}}


def test_without_resolve_missing_is_a_value() -> None:
    assert Map(a=1).merge_deep({"a": MISSING}) == {"a": MISSING}


@pytest.mark.parametrize("other", [5, [("a", 1)], None])
def test_an_argument_must_be_a_mapping(other: Any) -> None:
    with pytest.raises(TypeError, match=r"merge_deep\(\) arguments must be mappings, got"):
        Map(a=1).merge_deep({}, other)


def test_resolve_must_be_callable() -> None:
    with pytest.raises(TypeError, match=r"merge_deep\(\) argument 'resolve' must be callable"):
        Map().merge_deep(resolve=1)  # type: ignore[arg-type]


def test_mappings_that_contain_themselves_end_in_a_recursion_error() -> None:
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    first["a"], second["a"] = first, second
    with pytest.raises(RecursionError):
        Map(first).merge_deep(second)


def test_any_mapping_can_be_merged() -> None:
    class Doubled(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            return 2

        def __iter__(self) -> Any:
            return iter("ab")

        def __len__(self) -> int:
            return 2

    assert Map(a=Map(a=1, c=3)).merge_deep({"a": Doubled()}) == {"a": {"a": 2, "b": 2, "c": 3}}
