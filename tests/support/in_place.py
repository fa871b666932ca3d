"""The path from a native context to our bindings, as `gc` shows it, and pairs of variables.

```text
native context -> HAMT -> node -> ... -> node -> cell -> bindings
```

A `Pair` is a variable of the standard library and one of ours, to which the same is done.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import ctxvars
from tests.support.builds import IN_PLACE

only_in_place = pytest.mark.skipif(not IN_PLACE, reason="variables are not set in place")

# The numbers of other native variables. With them, the path has 1 to 3 nodes.
NOISE = [0, 1, 20, 300, 900]
OTHERS = [contextvars.ContextVar[Any](f"other {number}") for number in range(max(NOISE))]


def _root() -> contextvars.ContextVar[Any]:
    context = ctxvars.Context()
    context.run(ctxvars.ContextVar("some").set, 1)
    (root,) = context.native
    return root


ROOT = _root()


@functools.cache
def noisy(noise: int) -> contextvars.Context:
    """A native context in which this number of other native variables are set."""
    context = contextvars.Context()
    for number, other in enumerate(OTHERS[:noise]):
        context.run(other.set, number)
    return context


def hamt(context: contextvars.Context) -> Any:
    (found,) = [it for it in gc.get_referents(context) if type(it).__name__ == "hamt"]
    return found


def is_node(found: object) -> bool:
    return type(found).__name__.startswith("hamt_")


def leads_to(node: Any, value: object) -> list[Any] | None:
    """The nodes from this one to the value of the root variable."""
    referents = gc.get_referents(node)
    if any(it is value for it in referents) and any(it is ROOT for it in referents):
        return [node]
    for child in filter(is_node, referents):
        if found := leads_to(child, value):
            return [node, *found]
    return None


def nodes_to_root(context: contextvars.Context) -> list[Any]:
    """The nodes of the path in this context."""
    (first,) = gc.get_referents(hamt(context))
    found = leads_to(first, context[ROOT])
    assert found is not None
    return found


def named(bindings: Mapping[Any, Any]) -> dict[str, Any]:
    """The values of our variables, by name."""
    return {variable.name: value for variable, value in bindings.items()}


def values_below(node: Any) -> dict[str, Any]:
    """The values of our variables below a HAMT, one of its nodes, a cell or a node of a map."""
    found: dict[str, Any] = {}
    referents = gc.get_referents(node)
    for key, value in itertools.pairwise(referents):
        # From a node, keys and values come in turn, in either order.
        for variable, other in ((key, value), (value, key)):
            if variable is ROOT and hasattr(other, "items"):
                return named(other)
    for child in referents:
        if is_node(child):
            found |= values_below(child)
    return found


def cell(context: contextvars.Context) -> Any:
    return context[ROOT]


def root_of_map(context: contextvars.Context) -> Any:
    """The map in the cell; without cells, it is the value of the root variable."""
    found = cell(context)
    return gc.get_referents(found)[0] if IN_PLACE else found


# The class of the nodes of a map, but for its root.
NODE = type(gc.get_referents(ctxvars.Map.fromkeys(range(100), []))[0])


def nodes_of(bindings: Any) -> list[Any]:
    """The nodes of a map, if its values are tracked, from the root on."""
    nodes = [bindings]
    for node in nodes:
        nodes += [child for child in gc.get_referents(node) if type(child) is NODE]
    return nodes


def is_set_in_place(context: ctxvars.Context, variable: Any, value: object) -> bool:
    """Set a variable; return whether the context has the same cell and nodes afterwards."""

    def identities() -> list[int]:
        found = cell(context.native)
        return [id(found), *map(id, nodes_of(root_of_map(context.native)))]

    before = identities()
    context.run(variable.set, value)
    return identities() == before


class Deleted:
    """The value of a native variable whose counterpart has been deleted."""


DELETED = Deleted()


def plain(value: Any) -> Any:
    """A value, or None if there is none."""
    return None if value is DELETED or value is ctxvars.MISSING else value


class Pair:
    """A variable of each kind. Every operation is done to both, and must have equal results."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.native = contextvars.ContextVar[Any](f"native {name}")
        self.ours = ctxvars.ContextVar[Any](name)

    def both(self, native: Any, ours: Any) -> tuple[Any, Any]:
        old, ours_old = plain(native.old_value), plain(ours.old_value)
        assert old is ours_old, (self.name, old, ours_old)
        return native, ours

    def set(self, value: object) -> tuple[Any, Any]:
        return self.both(self.native.set(value), self.ours.set(value))

    def delete(self) -> tuple[Any, Any] | None:
        """Delete the value, if there is one."""
        if self.check() is None:
            assert error_of(self.ours.delete) is not None
            return None
        return self.both(self.native.set(DELETED), self.ours.delete())

    def reset(self, tokens: tuple[Any, Any]) -> str | None:
        """Reset both; return the exception that both raised."""
        errors = [
            error_of(variable.reset, token)
            for variable, token in zip((self.native, self.ours), tokens, strict=True)
        ]
        assert errors[0] == errors[1], (self.name, errors)
        return errors[0]

    def check(self, where: object = None) -> Any:
        """The value in the current context, which both must have."""
        native, ours = plain(self.native.get(None)), self.ours.get(None)
        assert native is ours, (where, self.name, native, ours)
        assert self.ours.is_set() == (native is not None)
        return ours

    def check_in(self, context: contextvars.Context, where: object = None) -> None:
        facade = ctxvars.Context.wrap(context)
        native = plain(context.get(self.native))
        for found in (
            facade.get(self.ours),
            facade[self.ours] if native is not None else None,
            facade.bindings.get(self.ours),
        ):
            assert found is native, (where, self.name, native, found)


def error_of(function: Callable[..., object], *arguments: object) -> str | None:
    try:
        function(*arguments)
    except (ValueError, RuntimeError, LookupError) as error:
        # The addresses differ, and the names of the classes.
        words = str(error).rpartition(">")[2]
        return f"{type(error).__name__}: {words}"
    return None


def pairs(count: int) -> list[Pair]:
    return [Pair(f"v{number}") for number in range(count)]


def fresh(noise: int, count: int) -> tuple[ctxvars.Context, list[Pair]]:
    """A context with other native variables, in which some pairs are set; it owns its cell."""
    context, made = ctxvars.Context.wrap(noisy(noise).copy()), pairs(count)

    def inside() -> None:
        for pair in made:
            pair.set([pair.name])

    context.run(inside)
    return context, made


def check_all(context: ctxvars.Context, made: list[Pair]) -> None:
    for pair in made:
        pair.check_in(context.native)
        context.run(pair.check)
    values = [(pair.name, plain(context.native.get(pair.native))) for pair in made]
    expected = {name: value for name, value in values if value is not None}
    assert named(context.bindings) == expected
    assert named(context) == expected
    assert len(context) == len(expected)


def depths() -> Iterator[int]:
    for noise in NOISE:
        context, _ = fresh(noise, 1)
        yield len(nodes_to_root(context.native))
