"""`from_type(Map[K, V])` and `from_type(Set[T])` of hypothesis, by its entry point."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from ctxvars._core import Map, Set

ATOMS = st.none() | st.booleans() | st.integers() | st.text()
"""The contents of `Map` and `Set` without arguments. Any hashable type would include both again."""


def register() -> None:
    """Register strategies for `Map` and `Set`. Hypothesis calls it when it is imported."""
    st.register_type_strategy(Map, _maps_of)
    st.register_type_strategy(Set, _sets_of)


# `ctxvars.strategies` is imported where it is used: its own import may be what imports hypothesis.
# Hypothesis also passes abstract types, such as `Collection[int]`, whose subclasses it looks for.
# `NotImplemented` makes it look for another strategy.


def _maps_of(thing: Any) -> Any:
    """Return the strategy for `Map[K, V]`, or for `Map`."""
    from ctxvars.strategies import maps

    arguments = get_args(thing)
    if len(arguments) not in (0, 2):
        return NotImplemented
    keys, values = map(st.from_type, arguments) if arguments else (ATOMS, ATOMS)
    return maps(keys, values)


def _sets_of(thing: Any) -> Any:
    """Return the strategy for `Set[T]`, or for `Set`."""
    from ctxvars.strategies import sets

    arguments = get_args(thing)
    if len(arguments) > 1:
        return NotImplemented
    return sets(st.from_type(arguments[0]) if arguments else ATOMS)
