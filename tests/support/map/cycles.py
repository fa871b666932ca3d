"""Keys, values and maps to build cycles from, for the tests of garbage collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctxvars import Map
from tests.support.gc.values import Value
from tests.support.map.keys import CUTS


class Key(Value):
    """A value that is a key, with a hash that the test chooses."""

    def __init__(self, number: int, cut: str = "full") -> None:
        super().__init__(number)
        self.cut = cut

    def __hash__(self) -> int:
        return CUTS[self.cut](self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.number == other.number


def filled(size: int, filler: Callable[[int], object]) -> Map[Any, Any]:
    """A map of `size - 1` entries, to which the test adds its own."""
    return Map({f"filler {number}": filler(number) for number in range(size - 1)})
