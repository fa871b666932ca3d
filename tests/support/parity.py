"""Results of calls, in a form in which the standard library and ctxvars must agree."""

import contextvars
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import ctxvars

Observe = Callable[[ModuleType], Any]

_MODULE = re.compile(r"\b(_contextvars|ctxvars)\.")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")


def normalised(text: str) -> str:
    """Remove from a text what may differ: the name of the module, and addresses."""
    return _ADDRESS.sub("0x", _MODULE.sub("", text))


def outcome(call: Callable[[], object]) -> tuple[str, ...]:
    """Return the result of a call, or its exception with the causes."""
    try:
        result = call()
        return "returned", normalised(str(type(result))), normalised(repr(result))
    except Exception as error:
        chain = (error, error.__cause__, error.__context__)
        return ("raised", str(type(error)), *(normalised(f"{each} {each!r}") for each in chain))


def attempt(function: Callable[..., object], *arguments: Any, **keywords: Any) -> str:
    """Return a text with the result or the exception of a call."""
    try:
        return "returned " + normalised(repr(function(*arguments, **keywords)))
    except Exception as error:
        return f"raised {type(error).__name__}: {normalised(str(error))}"


def observe(observer: Observe, module: ModuleType) -> Any:
    return contextvars.Context().run(observer, module)


def assert_same(observer: Observe) -> Any:
    """Check that the observer returns the same for both modules, and return it."""
    expected = observe(observer, contextvars)
    assert observe(observer, ctxvars) == expected
    return expected


def snapshot(context: Any) -> dict[str, Any]:
    return {variable.name: value for variable, value in context.items()}
