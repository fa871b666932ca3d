"""`Map.merge_deep`: merging nested mappings. The compiled method passes its arguments on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ctxvars._arguments import check_callable
from ctxvars._core import Map
from ctxvars._missing import MISSING

Level: TypeAlias = Mapping[Any, Any]
AnyMap: TypeAlias = Map[Any, Any]

_ABSENT: Any = object()
"""Stands for a missing value. Unlike `MISSING`, it cannot be the value of a key."""


def merge_deep(
    map: AnyMap,
    others: tuple[Level, ...],
    resolve: Callable[[tuple[Any, ...], Any, Any], Any] | None = None,
) -> AnyMap:
    """Return the map merged with other mappings, level by level: `Map.merge_deep`."""
    if resolve is not None:
        check_callable("merge_deep", "resolve", resolve)
    merged: Level = map
    for other in others:
        if not isinstance(other, Mapping):
            raise TypeError(f"merge_deep() arguments must be mappings, got {other!r}")
        merged = _merged(merged, other, resolve, ())
    return merged  # type: ignore[return-value]  # a `Map`, as `map` is one


def _merged(
    old: Level,
    new: Level,
    resolve: Callable[[tuple[Any, ...], Any, Any], Any] | None,
    path: tuple[Any, ...],
) -> Level:
    """Return the mapping `old` with the entries of `new`, or `old` itself if nothing changes."""
    if new is old:
        return old
    changes = {}
    removed = []
    for key, value in new.items():
        before = old.get(key, _ABSENT)
        if before is value:
            continue
        if before is not _ABSENT:
            if isinstance(before, Mapping) and isinstance(value, Mapping):
                value = _merged(before, value, resolve, (*path, key))
            elif resolve is not None:
                value = resolve((*path, key), before, value)
            if value is before:
                continue
            if value is MISSING and resolve is not None:
                removed.append(key)
                continue
        changes[key] = value
    if not changes and not removed:
        return old
    return (old if type(old) is Map else Map(old)).difference(removed).update(changes)
