"""Values for tests of lifetimes: with references to other objects, or with a finaliser."""

from __future__ import annotations

from typing import Any


class Value:
    """An object with references to others, which weak references can refer to."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.refs: list[Any] = []


class SetsWhenFreed:
    """Sets a variable while it is freed."""

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    def __del__(self) -> None:
        self.variable.set("set by a finaliser")
