"""Context variables on a persistent hash map with structural sharing, in Rust.

A drop-in for the standard library's `contextvars`, whose semantics (PEP 567) it keeps, and more:
the map itself is `Map`. For a module with exactly the standard library's names, import
`ctxvars.contextvars`.
"""

import _collections_abc as _abc
from typing import TYPE_CHECKING as _TYPE_CHECKING

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
    extend_native_contexts,
    scope,
)
from ctxvars._map.diff import Change, Conflict, MapDiff, MergeConflict
from ctxvars._missing import MISSING
from ctxvars._propagation.tasks import create_task

__all__ = [
    "MISSING",
    "Change",
    "Changes",
    "Conflict",
    "Context",
    "ContextThread",
    "ContextThreadPoolExecutor",
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
    "Snapshot",
    "ThreadPropagation",
    "Token",
    "UnsetFieldError",
    "bind",
    "changes_since",
    "copy_context",
    "create_task",
    "extend_native_contexts",
    "group_field",
    "isolated",
    "merge_back",
    "propagate_to_threads",
    "run_collecting",
    "run_in_executor",
    "scope",
    "snapshot",
]

if _TYPE_CHECKING:
    from ctxvars._changes.changes import Changes, changes_since
    from ctxvars._changes.collecting import merge_back, run_collecting
    from ctxvars._groups.fields import UnsetFieldError, group_field
    from ctxvars._groups.group import Group
    from ctxvars._isolation.isolated import isolated
    from ctxvars._propagation.executors import ContextThreadPoolExecutor, run_in_executor
    from ctxvars._propagation.propagate_to_threads import ThreadPropagation, propagate_to_threads
    from ctxvars._propagation.snapshot import Snapshot, bind, snapshot
    from ctxvars._propagation.threads import ContextThread
else:
    # What not every program uses is imported when it is first used. Most of it builds on
    # `concurrent.futures` and `asyncio`, which take longer to import than all the rest.
    _LATER = {
        "Changes": "_changes.changes",
        "ContextThread": "_propagation.threads",
        "ContextThreadPoolExecutor": "_propagation.executors",
        "Group": "_groups.group",
        "Snapshot": "_propagation.snapshot",
        "ThreadPropagation": "_propagation.propagate_to_threads",
        "UnsetFieldError": "_groups.fields",
        "bind": "_propagation.snapshot",
        "changes_since": "_changes.changes",
        "group_field": "_groups.fields",
        "isolated": "_isolation.isolated",
        "merge_back": "_changes.collecting",
        "propagate_to_threads": "_propagation.propagate_to_threads",
        "run_collecting": "_changes.collecting",
        "run_in_executor": "_propagation.executors",
        "snapshot": "_propagation.snapshot",
    }

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


_abc.Mapping.register(Context)
_abc.Mapping.register(Map)
_abc.MutableMapping.register(MapMutation)
_abc.KeysView.register(MapKeys)
_abc.ValuesView.register(MapValues)
_abc.ItemsView.register(MapItems)
