"""Lets asyncio's tasks be made with a `Context` of ours, for programs that run on the shim.

Tasks insist on a native context: eager ones on every version, all of them from 3.15 on. A program
that runs on the shim passes what `copy_context()` gave it, and so does asyncio itself. So the two
places where asyncio makes tasks in a context that somebody passed are taught to hand over the
native context that carries ours. Nothing is imported for that, and a program that does not import
asyncio does not notice.
"""

from __future__ import annotations

import sys
from functools import wraps
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from ctxvars._core import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def _with_native_context(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def convert(*args: Any, **kwargs: Any) -> Any:
        context = kwargs.get("context")
        if isinstance(context, Context):
            kwargs["context"] = context.native
        return method(*args, **kwargs)

    return convert


def _adapt_base_events(module: ModuleType) -> None:
    module.BaseEventLoop.create_task = _with_native_context(module.BaseEventLoop.create_task)


def _adapt_runners(module: ModuleType) -> None:
    # A runner makes its task with a context that it has copied itself, on any loop.
    import _contextvars

    vars(module)["contextvars"] = _contextvars
    module.Runner.run = _with_native_context(module.Runner.run)


_ADAPT = {"asyncio.base_events": _adapt_base_events, "asyncio.runners": _adapt_runners}


class _Finder:
    """Adapts the modules concerned as soon as they have been imported."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        adapt = _ADAPT.get(name)
        spec = adapt and PathFinder.find_spec(name, path, target)
        if adapt is None or not spec or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_adapt(module: ModuleType) -> None:
            execute(module)
            adapt(module)

        spec.loader.exec_module = execute_and_adapt  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Adapt asyncio, now if it has been imported, else when it is."""
    for name, adapt in _ADAPT.items():
        if name in sys.modules:
            adapt(sys.modules[name])
    sys.meta_path.insert(0, _Finder)
