# The recorder of changes, and the hook of `ctxvars.watch`: `_core.pyi` has the same names.

from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any, TypeAlias

from ctxvars._core import ContextVar

__all__ = [
    "is_recording",
    "recorded_contexts",
    "recorded_events",
    "recording_position",
    "set_missing_hook",
    "set_watch_hook",
    "start_recording",
    "stop_recording",
    "watches_switches",
]

# Number, kind, variable, version, version before, context, thread, nanoseconds, code, offset of the
# instruction, text of the value.
_EventRow: TypeAlias = tuple[
    int,
    str,
    ContextVar[Any] | None,
    int,
    int,
    int | None,
    int,
    int,
    CodeType | None,
    int,
    str | None,
]
# Number, parent, version of the parent, nanoseconds, thread, names of the thread and of the task,
# stack.
_ContextRow: TypeAlias = tuple[
    int, int | None, int, int, int, str | None, str | None, tuple[tuple[CodeType, int], ...]
]

watches_switches: bool

def start_recording(capacity: int, values: bool | Iterable[ContextVar[Any]], /) -> None: ...
def stop_recording() -> None: ...
def is_recording() -> bool: ...
def recorded_events() -> list[_EventRow]: ...
def recorded_contexts() -> list[_ContextRow]: ...
def recording_position() -> tuple[int, int | None]: ...
def set_missing_hook(hook: Callable[[ContextVar[Any], LookupError], object] | None, /) -> None: ...
def set_watch_hook(
    hook: Callable[[str, ContextVar[Any] | None, Any, Any], object] | None,
    variables: Iterable[ContextVar[Any]],
    /,
) -> None: ...
