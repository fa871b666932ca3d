"""The values of variables in the current context: read, replaced, and made by default factories."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any, TypeAlias

from ctxvars import _core
from ctxvars._missing import MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping

Variable: TypeAlias = _core.ContextVar[Any]
Bindings: TypeAlias = _core.Map[Variable, Any]
MadeDefaults: TypeAlias = dict[contextvars.ContextVar[Any], object]


def current_bindings() -> Bindings:
    return _core.copy_context().bindings


def set_bindings(bindings: Bindings) -> None:
    """Make the variables of the current context these. O(changes)."""
    now = current_bindings()
    if now is not bindings:
        _core.apply_changes(now, bindings, None)


def changes_between(before: Bindings, after: Bindings) -> dict[Variable, Any]:
    """Return the variables that differ, with their values in `after`, or `MISSING`. O(changes)."""
    if before is after:
        return {}
    return {change.key: change.new for change in _core.changed_bindings(before, after)}


def make_changes(changes: dict[Variable, Any]) -> None:
    """Give variables of the current context these values, or none for `MISSING`."""
    for variable, value in changes.items():
        if value is not MISSING:
            variable.set(value)
        elif variable.is_set():
            variable.delete()


def made_defaults() -> MadeDefaults:
    """Return the results of default factories that the current context keeps.

    They are in native variables, and are not among the bindings. After `extend_native_contexts`,
    contexts do not show them. O(native variables).
    """
    return {
        variable: value
        for variable, value in contextvars.copy_context().items()
        if type(value).__name__ == "CachedDefault" and type(value).__module__ == _core.__name__
    }


def drop_defaults(*, but: Mapping[contextvars.ContextVar[Any], object]) -> None:
    """Make default factories start again in the current context, except for these results."""
    for variable, value in made_defaults().items():
        if but.get(variable) is not value:
            # Only a cached default counts, and any other value is as good as none.
            variable.set(None)
