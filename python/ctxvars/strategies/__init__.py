"""Strategies of hypothesis for maps and sets. This module needs hypothesis.

`from_type(Map[str, int])` needs no import: hypothesis registers it when it is imported.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from hypothesis import strategies as st

from ctxvars._core import Map, Set

__all__ = ["maps", "sets"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def maps(
    keys: st.SearchStrategy[K],
    values: st.SearchStrategy[V],
    /,
    *,
    min_size: int = 0,
    max_size: int | None = None,
) -> st.SearchStrategy[Map[K, V]]:
    """Return a strategy for maps with keys and values of other strategies.

    >>> from hypothesis import given, strategies as st
    >>> from ctxvars.strategies import maps
    >>> @given(maps(st.text(), st.integers(), min_size=1))
    ... def test_a_map_has_its_keys(map):
    ...     assert all(key in map for key in map)
    >>> test_a_map_has_its_keys()
    """
    return st.dictionaries(keys, values, min_size=min_size, max_size=max_size).map(Map)


def sets(
    elements: st.SearchStrategy[K], /, *, min_size: int = 0, max_size: int | None = None
) -> st.SearchStrategy[Set[K]]:
    """Return a strategy for sets with elements of another strategy.

    >>> from hypothesis import given, strategies as st
    >>> from ctxvars.strategies import sets
    >>> @given(sets(st.integers(), max_size=5))
    ... def test_a_set_is_equal_to_a_frozenset(numbers):
    ...     assert numbers == frozenset(numbers)
    >>> test_a_set_is_equal_to_a_frozenset()
    """
    return st.sets(elements, min_size=min_size, max_size=max_size).map(Set)
