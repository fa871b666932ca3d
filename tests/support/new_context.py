"""Running tests in new contexts, with variables of the standard library and of ctxvars."""

from __future__ import annotations

import contextvars as native
import functools
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import ctxvars
from tests.support.gc.values import Value

KINDS = (native, ctxvars)


def variable_of(module: ModuleType) -> Any:
    return module.ContextVar("variable", default="none")


def in_new_context(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call in an empty context, so that a test leaves no values behind."""
    return native.Context().run(function, *arguments)


def in_a_new_context(test: Callable[..., None]) -> Callable[..., None]:
    """Decorate a test to run in an empty context."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        in_new_context(functools.partial(test, **arguments))

    return run


def current() -> dict[str, Any]:
    """Return the values of our variables, by name."""
    return {variable.name: value for variable, value in ctxvars.copy_context().items()}


def outlives(action: Callable[[Any], Any]) -> list[bool]:
    """Return, for each kind of variable, whether a value outlives the context that it was set in.

    `action` runs in that context, and gets the variable. Its result is kept until the check, as a
    program would. A value that only the garbage collector would free counts as alive.
    """
    found = []
    for module in KINDS:
        variable = variable_of(module)

        def act(variable: Any = variable) -> tuple[Any, weakref.ref[Value]]:
            value = Value()
            variable.set(value)
            return action(variable), weakref.ref(value)

        kept, reference = in_new_context(act)
        found.append(reference() is not None)
        del kept
    return found
