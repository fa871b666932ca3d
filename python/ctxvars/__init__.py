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
from ctxvars._diff import MISSING, Change, Conflict, MapDiff, MergeConflict, merge
from ctxvars._tasks import create_task

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
    "factory",
    "field",
    "isolated",
    "merge",
    "merge_back",
    "propagate_to_threads",
    "run_collecting",
    "run_in_executor",
    "scope",
    "snapshot",
]

if _TYPE_CHECKING:
    from ctxvars._changes import Changes, changes_since
    from ctxvars._collecting import merge_back, run_collecting
    from ctxvars._executors import ContextThreadPoolExecutor, run_in_executor
    from ctxvars._group import Group
    from ctxvars._group_fields import UnsetFieldError, factory, field
    from ctxvars._isolation import isolated
    from ctxvars._propagation import ThreadPropagation, propagate_to_threads
    from ctxvars._snapshot import Snapshot, bind, snapshot
    from ctxvars._threads import ContextThread
else:
    # What not every program uses is imported when it is first used. Most of it builds on
    # `concurrent.futures` and `asyncio`, which take longer to import than all the rest.
    _LATER = {
        "Changes": "_changes",
        "ContextThread": "_threads",
        "ContextThreadPoolExecutor": "_executors",
        "Group": "_group",
        "Snapshot": "_snapshot",
        "ThreadPropagation": "_propagation",
        "UnsetFieldError": "_group_fields",
        "bind": "_snapshot",
        "changes_since": "_changes",
        "factory": "_group_fields",
        "field": "_group_fields",
        "isolated": "_isolation",
        "merge_back": "_collecting",
        "propagate_to_threads": "_propagation",
        "run_collecting": "_collecting",
        "run_in_executor": "_executors",
        "snapshot": "_snapshot",
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
