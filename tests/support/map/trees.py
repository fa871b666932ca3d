"""Nested mappings of hypothesis, and paths through them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from ctxvars import Map

KEYS = st.sampled_from("abc")
LEAVES = st.integers(0, 3)
TREES = st.dictionaries(
    KEYS,
    st.recursive(LEAVES, lambda below: st.dictionaries(KEYS, below, max_size=3), max_leaves=8),
    max_size=3,
)
"""Plain nested dicts, whose leaves are numbers."""

PATHS = st.lists(KEYS, max_size=4)
LEVELS = st.randoms(use_true_random=False)
"""Chooses the types of the levels of a tree."""


def mixed(tree: Any, choice: Any) -> Any:
    """Return a tree as a `Map`, in which the lower levels are mappings of several types."""
    return Map(_below(tree, choice))


def _below(tree: Any, choice: Any) -> dict[str, Any]:
    below = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            kind = choice.choice([Map, Map, dict, MappingProxyType])
            below[key] = kind(_below(value, choice))
        else:
            below[key] = value
    return below


def plain(tree: Any) -> Any:
    """Return a copy of a tree that consists of dicts."""
    if isinstance(tree, Mapping):
        return {key: plain(value) for key, value in tree.items()}
    return copy.copy(tree)
