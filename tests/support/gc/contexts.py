"""Contexts of many variables, and the nodes of their maps, for the tests of garbage collection."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from ctxvars import Context, ContextVar, Map

# A flat context, the largest flat one, the smallest with a branch, and deeper ones.
SIZES = [1, 16, 17, 100, 1000]
DEEP = 300_000


def holding(context: Any, variable: Any, value: object) -> None:
    """Set a variable in the context, and drop the token."""
    context.run(variable.set, value)


def filled(size: int, filler: Callable[[int], object]) -> Context:
    """A context of `size - 1` variables, to which the test adds its own."""
    context = Context()
    for number in range(size - 1):
        holding(context, ContextVar(f"filler {number}"), filler(number))
    return context


# The root of each map is a Map. The class of the other nodes has no public name.
NODE_CLASSES = (Map, type(gc.get_referents(Map.fromkeys(range(100), []))[0]))


def nodes() -> list[Any]:
    """Return all nodes that the collector tracks."""
    return [found for found in gc.get_objects() if type(found) in NODE_CLASSES]


def referrers_among_nodes(value: object) -> list[Any]:
    """Return the nodes that refer to a value, by identity."""
    return [found for found in gc.get_referrers(value) if type(found) in NODE_CLASSES]
