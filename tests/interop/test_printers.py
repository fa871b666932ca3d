"""rich and IPython cut maps and sets as they cut dicts and sets."""

from __future__ import annotations

from typing import Any

import pytest

from ctxvars import Map, Set


class Printer:
    """The methods of IPython's printer that the hook uses, without groups that break lines."""

    def __init__(self) -> None:
        self.shown = ""

    def group(self, indent: int, open: str, close: str) -> Any:
        printer = self

        class Group:
            def __enter__(self) -> None:
                assert indent == len(open)
                printer.shown += open

            def __exit__(self, *exception: object) -> None:
                printer.shown += close

        return Group()

    def text(self, text: str) -> None:
        self.shown += text

    def pretty(self, value: Any) -> None:
        self.shown += repr(value)


@pytest.mark.parametrize(
    ("collection", "shown"),
    [
        (Map(), "ctxvars.Map({})"),
        (Map(a=1), "ctxvars.Map({'a': 1})"),
        (Set(), "ctxvars.Set()"),
        (Set([1]), "ctxvars.Set({1})"),
    ],
)
def test_the_hook_of_ipython_prints_the_repr(collection: Any, shown: str) -> None:
    printer = Printer()
    collection._repr_pretty_(printer, False)
    assert printer.shown == repr(collection) == shown


@pytest.mark.parametrize(("kind", "shown"), [(Map, "Map"), (Set, "Set")])
def test_the_hook_of_ipython_marks_a_cycle(kind: Any, shown: str) -> None:
    printer = Printer()
    kind()._repr_pretty_(printer, True)
    assert printer.shown == f"ctxvars.{shown}({{...}})"


def test_ipython_cuts_large_maps_and_sets() -> None:
    pretty = pytest.importorskip("IPython.lib.pretty", reason="IPython is not installed").pretty
    map, elements = Map.fromkeys(range(100_000)), Set(range(100_000))
    assert pretty(map).count("\n") == pretty(dict(map)).count("\n")
    assert pretty(elements).count("\n") == pretty(set(elements)).count("\n")
    assert "..." in pretty(map)
    assert (
        pretty(Map(a=Map(b=Set([1])))) == "ctxvars.Map({'a': ctxvars.Map({'b': ctxvars.Set({1})})})"
    )
    items: list[Any] = []
    items.append(Map(items=items))
    assert pretty(items[0]) == "ctxvars.Map({'items': [ctxvars.Map({...})]})"


def test_rich_cuts_large_maps_and_sets() -> None:
    pretty_repr = pytest.importorskip("rich.pretty", reason="rich is not installed").pretty_repr
    map = Map.fromkeys(range(1000))
    assert pretty_repr(map, max_length=3) == f"Map({pretty_repr(dict(map), max_length=3)})"
    elements = Set(range(1000))
    assert pretty_repr(elements, max_length=3).endswith("... +997})")
    assert pretty_repr(Map(a=Map(b=1))) == "Map({'a': Map({'b': 1})})"
    assert (pretty_repr(Map()), pretty_repr(Set())) == ("Map({})", "Set()")
