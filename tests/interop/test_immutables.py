"""`ctxvars.immutables` has the names and signatures of the package `immutables`.

The tests of that package run on it in `tests/foreign/test_maps.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

import ctxvars
from ctxvars import immutables

original: Any = pytest.importorskip("immutables", reason="the names of immutables are not compared")
SHAPE = {"__dump__"}
"""Methods that show how the nodes are shaped."""


def own_names(thing: Any) -> set[str]:
    return {name for name in vars(thing) if callable(getattr(thing, name))}


def test_it_has_the_public_names_of_immutables() -> None:
    assert immutables.__all__ == [*original.__all__]
    names = {name for name in vars(original) if name.startswith("Map")}
    assert names <= {*vars(immutables)}


def test_the_classes_are_those_of_ctxvars() -> None:
    assert immutables.Map is ctxvars.Map
    assert immutables.MapMutation is ctxvars.MapMutation


def test_maps_and_mutations_have_the_methods_of_immutables() -> None:
    assert own_names(original.Map) - SHAPE <= {*dir(immutables.Map)}
    mutation = type(original.Map().mutate())
    assert own_names(mutation) <= {*dir(immutables.MapMutation)}


CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("set", ("b", 2)),
    ("delete", ("a",)),
    ("update", ({"b": 2},)),
    ("update", ([("b", 2)],)),
    ("get", ("a",)),
    ("get", ("x", 5)),
    ("get", ("x",)),
]


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_call_has_the_same_result(method: str, arguments: Any) -> None:
    theirs = getattr(original.Map(a=1), method)(*arguments)
    ours = getattr(immutables.Map(a=1), method)(*arguments)
    assert ours == (dict(theirs) if isinstance(theirs, original.Map) else theirs)


def test_keywords_win_over_the_collection() -> None:
    for module in (original, immutables):
        assert dict(module.Map({"a": 1}, a=2).update({"a": 3}, a=4)) == {"a": 4}


@pytest.mark.parametrize("module", [original, immutables], ids=["original", "ctxvars"])
def test_the_example_of_the_readme(module: Any) -> None:
    map = module.Map(a=1, b=2)
    assert map["a"] == 1
    assert map.get("z", 100) == 100
    with map.mutate() as mutation:
        mutation["a"] = 100
        del mutation["b"]
        mutation.set("y", "y")
        mutation.update({"x": 0}, z=5)
        assert mutation.pop("x") == 0
        map2 = mutation.finish()
    assert dict(map2) == {"a": 100, "y": "y", "z": 5}
    assert dict(map) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="has been finished"):
        mutation["a"] = 1
    with pytest.raises(KeyError):
        map.delete("z")
