"""What the tests of propagation share: variables of either kind, and values to be watched."""

from __future__ import annotations

import contextvars as native
import functools
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import ctxvars
from tests.support.values import Value

KINDS = (native, ctxvars)


def variable_of(module: ModuleType) -> Any:
    return module.ContextVar("variable", default="none")


def in_new_context(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls in an empty context, so that a test leaves nothing behind."""
    return native.Context().run(function, *arguments)


def in_a_new_context(test: Callable[..., None]) -> Callable[..., None]:
    """Decorate a test that is to run so."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        in_new_context(functools.partial(test, **arguments))

    return run


def current() -> dict[str, Any]:
    """What our variables are set to, by their names."""
    return {variable.name: value for variable, value in ctxvars.copy_context().items()}


def outlives(action: Callable[[Any], Any]) -> list[bool]:
    """For each kind of variable: whether a value lives on after `action` in a context that has it.

    `action` is given the variable. What it returns is kept meanwhile, as a program would. A value
    that would have to wait for the collector lives on.
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
