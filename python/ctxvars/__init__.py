"""Context variables on a persistent hash map with structural sharing, in Rust.

A drop-in replacement for the standard library's `contextvars` with its semantics (PEP 567), and
more: scopes, groups of variables, isolated functions, and the map itself, `Map`. The module
`ctxvars.contextvars` has exactly the names of the standard library.

For pytest, which rewrites the modules of its plugins, and warns if they are imported already:
PYTEST_DONT_REWRITE.
"""

import _collections_abc as _abc

try:
    from ctxvars._core import (
        Context,
        ContextVar,
        Map,
        MapItems,
        MapKeys,
        MapMutation,
        MapValues,
        Scope,
        Set,
        SetMutation,
        Token,
        copy_context,
        extend_native_contexts,
        scope,
    )
    from ctxvars._core import __version__ as __version__
except ImportError as _error:
    # The reasons are in docs/explanation/subinterpreters.md.
    if not str(_error).endswith("does not support loading in subinterpreters"):
        raise
    raise ImportError(
        "ctxvars works in the main interpreter only: in a subinterpreter, use contextvars and pass "
        "values as arguments, or run the code in a thread or process",
        name=__name__,
    ) from _error
from ctxvars._missing import MISSING

__all__ = [
    "MISSING",
    "CarriedFunction",
    "CarrierError",
    "Change",
    "Changes",
    "Conflict",
    "Context",
    "ContextBranch",
    "ContextFuture",
    "ContextNode",
    "ContextProcess",
    "ContextProcessPoolExecutor",
    "ContextThread",
    "ContextThreadPoolExecutor",
    "ContextTree",
    "ContextVar",
    "DeadlineExceeded",
    "Event",
    "Explanation",
    "Group",
    "Keeper",
    "Map",
    "MapDiff",
    "MapItems",
    "MapKeys",
    "MapMutation",
    "MapValues",
    "MergeConflict",
    "Origin",
    "Place",
    "Portable",
    "Received",
    "Retained",
    "Scope",
    "Set",
    "SetMutation",
    "Signer",
    "Snapshot",
    "ThreadPropagation",
    "Timeline",
    "Token",
    "UnsetFieldError",
    "Watch",
    "WatchedChange",
    "annotate_exceptions",
    "bind",
    "carry",
    "changes_since",
    "check_deadline",
    "clear_portable",
    "copy_context",
    "create_task",
    "deadline",
    "dropped_members",
    "environment_with",
    "extend_native_contexts",
    "extract",
    "extract_environment",
    "freeze",
    "group_field",
    "inject",
    "isolated",
    "merge_back",
    "origin",
    "portable",
    "propagate_to_threads",
    "record",
    "remaining_time",
    "retained",
    "run_collecting",
    "run_in_executor",
    "scope",
    "snapshot",
    "thaw",
    "watch",
    "why",
]

# Type checkers take it to be true, whatever its value. It is not imported from `typing`, because
# importing that module takes several times as long as importing this package.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ctxvars import classes as classes
    from ctxvars import contextvars as contextvars
    from ctxvars import immutables as immutables
    from ctxvars import logging as logging
    from ctxvars import strategies as strategies
    from ctxvars._changes.changes import Changes, changes_since
    from ctxvars._changes.merge_back import merge_back
    from ctxvars._changes.run_collecting import run_collecting
    from ctxvars._diagnosis.annotate import annotate_exceptions
    from ctxvars._diagnosis.explanation import Explanation
    from ctxvars._diagnosis.keepers import Keeper
    from ctxvars._diagnosis.origin import Origin, origin
    from ctxvars._diagnosis.retained import Retained, retained
    from ctxvars._diagnosis.watch import Watch, WatchedChange, watch
    from ctxvars._diagnosis.why import why
    from ctxvars._groups.fields import UnsetFieldError, group_field
    from ctxvars._groups.group import Group
    from ctxvars._isolation.isolated import isolated
    from ctxvars._map.diff import Change, Conflict, MapDiff, MergeConflict
    from ctxvars._map.freeze import freeze, thaw
    from ctxvars._portable.deadlines import (
        DeadlineExceeded,
        check_deadline,
        deadline,
        remaining_time,
    )
    from ctxvars._portable.declaration import Portable, portable
    from ctxvars._portable.headers.extract import CarrierError, Received, dropped_members, extract
    from ctxvars._portable.headers.inject import inject
    from ctxvars._portable.headers.signing import Signer
    from ctxvars._portable.processes.carry import CarriedFunction, carry
    from ctxvars._portable.processes.environment import environment_with, extract_environment
    from ctxvars._portable.processes.payload import clear_portable
    from ctxvars._portable.processes.pool import ContextFuture, ContextProcessPoolExecutor
    from ctxvars._portable.processes.process import ContextProcess
    from ctxvars._propagation.executors import ContextThreadPoolExecutor, run_in_executor
    from ctxvars._propagation.propagate_to_threads import ThreadPropagation, propagate_to_threads
    from ctxvars._propagation.snapshot import Snapshot, bind, snapshot
    from ctxvars._propagation.tasks import create_task
    from ctxvars._propagation.threads import ContextThread
    from ctxvars._recording.events import ContextBranch, Event, Place
    from ctxvars._recording.record import record
    from ctxvars._recording.timeline import Timeline
    from ctxvars._recording.tree import ContextNode, ContextTree
else:
    # The other names are imported when they are first used. Their modules import `typing`, and most
    # of them `concurrent.futures` or `asyncio`, which takes longer than the rest of the package.
    _LAZY_NAMES = {
        "CarriedFunction": "_portable.processes.carry",
        "CarrierError": "_portable.headers.extract",
        "Change": "_map.diff",
        "Changes": "_changes.changes",
        "Conflict": "_map.diff",
        "ContextBranch": "_recording.events",
        "ContextFuture": "_portable.processes.pool",
        "ContextNode": "_recording.tree",
        "ContextProcess": "_portable.processes.process",
        "ContextProcessPoolExecutor": "_portable.processes.pool",
        "ContextThread": "_propagation.threads",
        "ContextThreadPoolExecutor": "_propagation.executors",
        "ContextTree": "_recording.tree",
        "DeadlineExceeded": "_portable.deadlines",
        "Event": "_recording.events",
        "Explanation": "_diagnosis.explanation",
        "Group": "_groups.group",
        "Keeper": "_diagnosis.keepers",
        "MapDiff": "_map.diff",
        "MergeConflict": "_map.diff",
        "Origin": "_diagnosis.origin",
        "Place": "_recording.events",
        "Portable": "_portable.declaration",
        "Received": "_portable.headers.extract",
        "Retained": "_diagnosis.retained",
        "Signer": "_portable.headers.signing",
        "Snapshot": "_propagation.snapshot",
        "ThreadPropagation": "_propagation.propagate_to_threads",
        "Timeline": "_recording.timeline",
        "UnsetFieldError": "_groups.fields",
        "Watch": "_diagnosis.watch",
        "WatchedChange": "_diagnosis.watch",
        "annotate_exceptions": "_diagnosis.annotate",
        "bind": "_propagation.snapshot",
        "carry": "_portable.processes.carry",
        "changes_since": "_changes.changes",
        "check_deadline": "_portable.deadlines",
        "clear_portable": "_portable.processes.payload",
        "create_task": "_propagation.tasks",
        "deadline": "_portable.deadlines",
        "dropped_members": "_portable.headers.extract",
        "environment_with": "_portable.processes.environment",
        "extract": "_portable.headers.extract",
        "extract_environment": "_portable.processes.environment",
        "freeze": "_map.freeze",
        "group_field": "_groups.fields",
        "inject": "_portable.headers.inject",
        "isolated": "_isolation.isolated",
        "merge_back": "_changes.merge_back",
        "origin": "_diagnosis.origin",
        "portable": "_portable.declaration",
        "propagate_to_threads": "_propagation.propagate_to_threads",
        "record": "_recording.record",
        "remaining_time": "_portable.deadlines",
        "retained": "_diagnosis.retained",
        "run_collecting": "_changes.run_collecting",
        "run_in_executor": "_propagation.executors",
        "snapshot": "_propagation.snapshot",
        "thaw": "_map.freeze",
        "watch": "_diagnosis.watch",
        "why": "_diagnosis.why",
    }
    # Not in `__all__`: `from ctxvars import *` would hide the modules of the standard library.
    _LAZY_MODULES = ("classes", "contextvars", "immutables", "logging", "strategies")

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _LAZY_MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in _LAZY_NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        dunders = {name for name in globals() if name.startswith("__") and name.endswith("__")}
        return sorted({*__all__, *_LAZY_MODULES, *dunders})


_abc.Mapping.register(Context)
_abc.Mapping.register(Map)
_abc.MutableMapping.register(MapMutation)
_abc.KeysView.register(MapKeys)
_abc.ValuesView.register(MapValues)
_abc.ItemsView.register(MapItems)
_abc.Set.register(Set)
