"""Comparing and merging by hand, for maps whose library has neither `diff` nor `merge`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import immutables

MISSING = object()


def diff(
    old: Mapping[Any, Any], new: Mapping[Any, Any]
) -> tuple[dict[Any, Any], dict[Any, Any], dict[Any, tuple[Any, Any]]]:
    """Return the added, removed and changed entries."""
    added = {}
    changed = {}
    for key, value in new.items():
        before = old.get(key, MISSING)
        if before is MISSING:
            added[key] = value
        elif before is not value and before != value:
            changed[key] = before, value
    removed = {key: value for key, value in old.items() if key not in new}
    return added, removed, changed


def merge(
    base: immutables.Map[Any, Any], ours: immutables.Map[Any, Any], theirs: immutables.Map[Any, Any]
) -> immutables.Map[Any, Any]:
    """Return `ours` with the changes of `theirs`, without a search for conflicts."""
    mutation = ours.mutate()
    for key, value in theirs.items():
        if base.get(key, MISSING) is not value:
            mutation[key] = value
    for key in base:
        if key not in theirs:
            mutation.pop(key, None)
    return mutation.finish()


def merge_dicts(
    base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any]
) -> dict[Any, Any]:
    """Return a copy of `ours` with the changes of `theirs`, without a search for conflicts."""
    merged = ours.copy()
    for key, value in theirs.items():
        if base.get(key, MISSING) is not value:
            merged[key] = value
    for key in base:
        if key not in theirs:
            merged.pop(key, None)
    return merged
