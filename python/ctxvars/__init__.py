"""Context variables on a persistent hash map with structural sharing, in Rust.

A drop-in for the standard library's `contextvars`, whose semantics (PEP 567) it keeps, and more:
the map itself is `Map`. For a module with exactly the standard library's names, import
`ctxvars.contextvars`.
"""

import _collections_abc as _abc

from ctxvars._core import (
    Context,
    ContextVar,
    Map,
    MapItems,
    MapKeys,
    MapMutation,
    MapValues,
    Scope,
    Token,
    copy_context,
    scope,
)
from ctxvars._diff import MISSING, Change, Conflict, MapDiff, MergeConflict, merge
from ctxvars._group import Group
from ctxvars._group_fields import factory, field
from ctxvars._tasks import create_task

__all__ = [
    "MISSING",
    "Change",
    "Conflict",
    "Context",
    "ContextVar",
    "Group",
    "Map",
    "MapDiff",
    "MapItems",
    "MapKeys",
    "MapMutation",
    "MapValues",
    "MergeConflict",
    "Scope",
    "Token",
    "copy_context",
    "create_task",
    "factory",
    "field",
    "merge",
    "scope",
]

_abc.Mapping.register(Context)
_abc.Mapping.register(Map)
_abc.MutableMapping.register(MapMutation)
_abc.KeysView.register(MapKeys)
_abc.ValuesView.register(MapValues)
_abc.ItemsView.register(MapItems)
