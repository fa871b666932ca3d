"""Objects that keep others alive: which kinds there are, and what to call them.

Nothing here runs code of the program: no `repr`, no `==`, no attribute of an unknown object. Types
are compared by identity, and attributes are read by the descriptors of known types.
"""

from __future__ import annotations

import sys
import threading
from _contextvars import ContextVar as NativeVariable
from _contextvars import Token as NativeToken
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

from ctxvars import _core
from ctxvars._public import public


@public
@dataclass(frozen=True, slots=True)
class Keeper:
    """An object that keeps another one alive.

    Attributes:
        kind: "task", "timer", "callback", "future", "thread", "token", "snapshot", "scope",
            "isolated", "coroutine", "generator", "async generator", "frame", "module", "class",
            "context" or "object".
        description: which one it is, such as the name of a task.
        path: the types of the objects on the way from the keeper to the kept object.
    """

    kind: str
    description: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        way = " > ".join(self.path)
        return f"{self.kind} {self.description}" + (f", by {way}" if way else "")


def is_a(thing: object, *types: type) -> bool:
    """Whether an object is an instance, without `__class__`, which may be a property."""
    mro = mro_of(type(thing))
    return any(each in mro for each in types)


def type_name(thing: object) -> str:
    """Return the name of the type, with its module unless it is built in."""
    found = type(thing)
    name, module = _qualname_of(found), _module_of(found)
    # The module of a class is an entry of its namespace, so it may be any object.
    if type(module) is not str or module in ("builtins", "_contextvars", "_asyncio", "_thread"):
        return name
    return f"{module}.{name}".replace("ctxvars._core.", "ctxvars.")


# A metaclass may have properties of these names.
mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_qualname_of: Callable[[type], str] = type.__dict__["__qualname__"].__get__
namespace_of: Callable[[type], Mapping[Any, Any]] = type.__dict__["__dict__"].__get__
_namespace_of_module: Callable[[Any], dict[Any, Any]] = vars(ModuleType)["__dict__"].__get__
_module_of: Callable[[type], object] = type.__dict__["__module__"].__get__


def keeper_of(thing: Any) -> tuple[str, str] | None:
    """Return the kind and the description of a keeper; `None` for other objects."""
    if found := _of_asyncio(thing):
        return found
    name = _qualname_of(type(thing))
    if is_a(thing, _core.Token, NativeToken) and not is_root_variable(thing.var):
        return "token", f"of {thing.var.name!r}"
    if is_a(thing, _core.Scope):
        return "scope", "that is entered" if thing.is_entered else "that is not entered"
    if is_a(thing, threading.Thread):
        return "thread", _text(thing.__dict__.get("_name"))
    if is_a(thing, FrameType):
        return "frame", frame_name(thing)
    if type(thing) is CoroutineType:
        return "coroutine", thing.__qualname__
    if type(thing) is GeneratorType:
        return "generator", thing.__qualname__
    if type(thing) is AsyncGeneratorType:
        return "async generator", thing.__qualname__
    if is_a(thing, type):
        return "class", _qualname_of(thing)
    if _module_of(type(thing)) == "ctxvars._core" and name.startswith("isolated_"):
        return "isolated", name.removeprefix("isolated_").replace("_", " ")
    if name == "Snapshot" and _module_of(type(thing)) == "ctxvars":
        return "snapshot", "of a context"
    return None


def _of_asyncio(thing: Any) -> tuple[str, str] | None:
    asyncio = sys.modules.get("asyncio")
    name, module = _qualname_of(type(thing)), _module_of(type(thing))
    if module == "uvloop.loop" and name in ("Handle", "TimerHandle"):
        return ("timer" if name == "TimerHandle" else "callback"), "of uvloop"
    if asyncio is None:
        return None
    if is_a(thing, asyncio.Task, asyncio.tasks._PyTask):
        coroutine = asyncio.Task.get_coro(thing) if is_a(thing, asyncio.Task) else thing._coro
        task_name = asyncio.Task.get_name(thing) if is_a(thing, asyncio.Task) else thing._name
        what = coroutine.__qualname__ if type(coroutine) is CoroutineType else ""
        return "task", f"{_text(task_name)}{what and f' of {what}'}"
    if is_a(thing, asyncio.TimerHandle):
        return "timer", _handle_name(thing)
    if is_a(thing, asyncio.Handle):
        return "callback", _handle_name(thing)
    if is_a(thing, asyncio.Future, asyncio.futures._PyFuture):
        return "future", "with a callback"
    return None


def _handle_name(handle: Any) -> str:
    if handle._cancelled:
        # It waits for its time in the loop, with its context, without its callback.
        return "that is cancelled"
    return f"of {function_name(handle._callback)}"


def function_name(function: Any) -> str:
    """Return the name of a function; of other callables, the name of their type."""
    while type(function) in (MethodType, partial):
        function = function.__func__ if type(function) is MethodType else function.func
    if is_a(function, type):
        return _qualname_of(function)
    if type(function) in (FunctionType, BuiltinFunctionType):
        name: str = function.__qualname__
        return name
    return type_name(function)


def frame_of(thing: Any) -> FrameType | None:
    """Return the frame of a coroutine or a generator; `None` for other objects."""
    if type(thing) is CoroutineType:
        return thing.cr_frame
    if type(thing) is GeneratorType:
        return thing.gi_frame
    return thing.ag_frame if type(thing) is AsyncGeneratorType else None


def frame_name(frame: FrameType) -> str:
    """Return the function and the current line of a frame."""
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"


def is_root_variable(variable: Any) -> bool:
    """Whether a variable is the native one whose value has the values of all others."""
    return type(variable) is NativeVariable and variable.name == "ctxvars"


def _text(value: object) -> str:
    return repr(value) if type(value) is str else type_name(value)


def module_namespaces() -> dict[int, str]:
    """Return the names of the imported modules, by the addresses of their namespaces."""
    return {
        id(_namespace_of_module(module)): name
        for name, module in [*sys.modules.items()]
        if is_a(module, ModuleType)
    }


def name_in(namespace: dict[Any, Any], thing: Any) -> str:
    """Return the name of an object in a namespace."""
    # Not by a look-up, which may call `__eq__`.
    names = (key for key, value in dict.items(namespace) if value is thing)
    return next((key for key in names if type(key) is str), "")
