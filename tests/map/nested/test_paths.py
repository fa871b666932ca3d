"""`get_in`, `set_in`, `update_in` and `delete_in` agree with loops over nested dicts."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given

from ctxvars import MISSING, Map
from tests.support.map.trees import LEAVES, LEVELS, PATHS, TREES, mixed, plain

METHODS = {
    "get_in": (),
    "set_in": (1,),
    "update_in": (str,),
    "delete_in": (),
}


def value_at(tree: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(tree, dict):
            raise TypeError
        tree = tree[key]
    return tree


def outcome(function: Any, *arguments: Any) -> Any:
    """The result as dicts, or the type of the exception."""
    try:
        return plain(function(*arguments))
    except (KeyError, TypeError, ValueError) as error:
        return type(error)


def dict_with(tree: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    if not path:
        raise ValueError
    level = tree = plain(tree)
    for key in path[:-1]:
        level = level.setdefault(key, {})
        if not isinstance(level, dict):
            raise TypeError
    level[path[-1]] = value
    return tree


def dict_without(tree: dict[str, Any], path: list[str]) -> dict[str, Any]:
    if not path:
        raise ValueError
    tree = plain(tree)
    level = value_at(tree, path[:-1])
    if not isinstance(level, dict):
        raise TypeError
    del level[path[-1]]
    return tree


@given(TREES, LEVELS, PATHS)
def test_get_in_agrees_with_a_loop_over_dicts(tree: Any, choice: Any, path: list[str]) -> None:
    map = mixed(tree, choice)
    expected = outcome(value_at, tree, path)
    assert outcome(map.get_in, path, "default") == ("default" if expected is KeyError else expected)
    assert outcome(map.get_in, tuple(path)) == (None if expected is KeyError else expected)


@given(TREES, LEVELS, PATHS, LEAVES)
def test_set_in_agrees_with_nested_dicts(
    tree: Any, choice: Any, path: list[str], value: int
) -> None:
    map = mixed(tree, choice)
    assert outcome(map.set_in, path, value) == outcome(dict_with, tree, path, value)
    assert plain(map) == tree


@given(TREES, LEVELS, PATHS)
def test_update_in_sets_the_result_of_the_function(tree: Any, choice: Any, path: list[str]) -> None:
    map = mixed(tree, choice)
    found = outcome(value_at, tree, path)
    expected = found if isinstance(found, type) else outcome(dict_with, tree, path, [found])
    if not path:
        expected = ValueError
    assert outcome(map.update_in, path, lambda value: [plain(value)]) == expected
    if found is KeyError:
        expected = outcome(dict_with, tree, path, ["default"])
    assert outcome(map.update_in, path, lambda value: [plain(value)], "default") == expected


@given(TREES, LEVELS, PATHS)
def test_delete_in_agrees_with_nested_dicts(tree: Any, choice: Any, path: list[str]) -> None:
    map = mixed(tree, choice)
    assert outcome(map.delete_in, path) == outcome(dict_without, tree, path)
    assert plain(map) == tree


@given(TREES, LEVELS, PATHS)
def test_an_unchanged_result_is_the_map_itself(tree: Any, choice: Any, path: list[str]) -> None:
    map = mixed(tree, choice)
    missing = object()
    if path and not isinstance(outcome(value_at, tree, path), type):
        assert map.set_in(path, map.get_in(path, missing)) is map
        assert map.update_in(path, lambda value: value) is map


@given(TREES, LEVELS, PATHS)
def test_what_is_not_on_the_path_is_shared(tree: Any, choice: Any, path: list[str]) -> None:
    map = mixed(tree, choice)
    if not path or outcome(dict_with, tree, path, 9) is TypeError:
        return
    old, new = map, map.set_in(path, 9)
    for key in path:
        assert type(new) is Map
        assert all(new[other] is old[other] for other in old if other != key)
        old, new = old.get(key, Map()), new[key]
        if not isinstance(new, Map):
            return


def test_the_empty_path_leads_to_the_map_itself() -> None:
    map = Map(a=1)
    assert map.get_in(()) is map


def test_a_path_is_any_iterable_of_keys() -> None:
    map = Map(a=Map({1: "one"}))
    assert map.get_in(iter(["a", 1])) == "one"
    assert map.get_in({"a": None, 1: None}) == "one"
    assert map.set_in(iter(["a", 1]), "ein") == {"a": {1: "ein"}}
    assert map.update_in(iter(["a", 1]), len) == {"a": {1: 3}}
    assert map.delete_in(iter(["a", 1])) == {"a": {}}


def test_values_that_stand_for_missing_ones_are_values() -> None:
    map = Map(a=Map(b=MISSING, c=None))
    assert map.get_in(["a", "b"], 1) is MISSING
    assert map.get_in(["a", "c"], 1) is None
    assert map.update_in(["a", "b"], lambda value: value, 1) is map


def test_missing_levels_become_maps() -> None:
    made = Map().set_in(["a", "b", "c"], 1)
    assert made == {"a": {"b": {"c": 1}}}
    assert type(made["a"]) is type(made["a"]["b"]) is Map


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_other_mappings_become_maps_when_they_change(kind: Any) -> None:
    inner = kind({"x": 1, "y": 2})
    map = Map(a=inner)
    for changed in (map.set_in(["a", "x"], 5), map.delete_in(["a", "x"])):
        assert type(changed["a"]) is Map
    assert map.set_in(["a", "x"], 1)["a"] is inner
    assert inner == {"x": 1, "y": 2}


def test_reading_makes_no_defaults() -> None:
    counts: defaultdict[str, int] = defaultdict(int)
    assert Map(counts=counts).get_in(["counts", "a"]) is None
    assert not counts


@pytest.mark.parametrize(("method", "arguments"), METHODS.items())
@pytest.mark.parametrize("path", ["ab", b"ab", ""])
def test_a_string_is_not_a_path(method: str, arguments: Any, path: Any) -> None:
    with pytest.raises(TypeError) as raised:
        getattr(Map(a=Map(b=1)), method)(path, *arguments)
    message = f"a path must be an iterable of keys, not the string {path!r}"
    assert str(raised.value) == message


@pytest.mark.parametrize(("method", "arguments"), METHODS.items())
def test_what_is_not_iterable_is_not_a_path(method: str, arguments: Any) -> None:
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        getattr(Map(), method)(5, *arguments)


@pytest.mark.parametrize(("method", "arguments"), METHODS.items())
def test_errors_of_an_iterable_of_keys_are_raised(method: str, arguments: Any) -> None:
    with pytest.raises(TypeError, match="unsupported"):
        getattr(Map(), method)((1 + "a" for _ in range(1)), *arguments)  # type: ignore[operator]


@pytest.mark.parametrize("method", ["set_in", "update_in", "delete_in"])
def test_the_empty_path_cannot_be_changed(method: str) -> None:
    with pytest.raises(ValueError, match="the path must not be empty"):
        getattr(Map(), method)((), *METHODS[method])


@pytest.mark.parametrize(("method", "arguments"), METHODS.items())
def test_an_error_names_the_path_of_the_value_that_is_not_a_mapping(
    method: str, arguments: Any
) -> None:
    map = Map(a=Map(b=[1]))
    with pytest.raises(TypeError) as raised:
        getattr(map, method)(["a", "b", 0], *arguments)
    assert str(raised.value) == "expected a mapping at the path ('a', 'b'), got <class 'list'>"


@pytest.mark.parametrize("method", ["update_in", "delete_in"])
@pytest.mark.parametrize(
    ("path", "missing"), [(["a", "x", "y"], ("a", "x")), (["a", "x"], ("a", "x")), (["x"], ("x",))]
)
def test_an_error_names_the_path_of_the_missing_key(
    method: str, path: list[str], missing: tuple[str, ...]
) -> None:
    with pytest.raises(KeyError) as raised:
        getattr(Map(a=Map(b=1)), method)(path, *METHODS[method])
    assert raised.value.args == (missing,)


def test_an_unhashable_key_raises() -> None:
    for method, arguments in METHODS.items():
        with pytest.raises(TypeError, match="unhashable"):
            getattr(Map(a=1), method)([[]], *arguments)


def test_a_function_that_raises_changes_nothing() -> None:
    map = Map(a=Map(b=0))
    with pytest.raises(ZeroDivisionError):
        map.update_in(["a", "b"], lambda value: 1 // value)
    assert map == {"a": {"b": 0}}


def test_the_function_of_update_in_must_be_callable() -> None:
    with pytest.raises(TypeError, match=r"update_in\(\) argument 'function' must be callable"):
        Map(a=1).update_in(["a"], 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "count"), [("get_in", 0), ("get_in", 3), ("set_in", 1), ("update_in", 1)]
)
def test_a_wrong_number_of_arguments_raises(method: str, count: int) -> None:
    with pytest.raises(TypeError, match=rf"{method} expected"):
        getattr(Map(), method)(*[["a"]] * count)
