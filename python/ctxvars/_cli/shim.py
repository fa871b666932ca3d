"""Puts the shim in the place of the standard library's `contextvars`, for the whole process.

Variables and tokens are ours. Contexts stay those of the interpreter, because C code (tasks of
asyncio, uvloop, greenlet) takes and returns no others; they are made to show our variables beside
native ones. `ctxvars.Context` is then that class as well, so that a program that uses both modules
meets one kind of context.

Nothing is imported for this that a program could find imported.
"""

from __future__ import annotations

import _collections_abc
import _contextvars
import sys
from typing import TYPE_CHECKING

from ctxvars import _core, contextvars

if TYPE_CHECKING:
    from types import ModuleType


def install() -> None:
    """Put the shim in place, also in the modules that have been imported.

    A `.pth` file or `sitecustomize` can import anything, `asyncio` for one. Such a module gets our
    names for the standard library's; what it has made with those already stays as it is, and works
    beside ours, for a native context carries both.
    """
    _core.extend_native_contexts()
    _collections_abc.Mapping.register(_contextvars.Context)
    facades: dict[int, object] = {
        id(_core.Context): _contextvars.Context,
        id(_core.copy_context): _contextvars.copy_context,
    }
    originals: dict[int, object] = {}
    if "contextvars" in sys.modules:
        originals = {
            id(sys.modules["contextvars"]): contextvars,
            id(_contextvars.ContextVar): _core.ContextVar,
            id(_contextvars.Token): _core.Token,
        }
    sys.modules["contextvars"] = contextvars
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "ctxvars":
            _replace(module, facades)
        elif name != "_contextvars":
            _replace(module, originals)


def _replace(module: ModuleType, others: dict[int, object]) -> None:
    """Replace what a module holds under any name; the keys are identities."""
    for name, value in list(getattr(module, "__dict__", {}).items()):
        if id(value) in others:
            setattr(module, name, others[id(value)])
