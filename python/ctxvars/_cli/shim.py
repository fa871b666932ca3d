"""Replaces the standard library's `contextvars` by the shim, for the whole process.

Variables and tokens are those of ctxvars. Contexts stay native, because C code (tasks of asyncio,
uvloop, greenlet) takes and returns native contexts only; they are extended to show the variables of
ctxvars. `ctxvars.Context` becomes the native class, too, so that a program that uses both modules
has one type of context.

This module imports only modules that every program has imported.
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
    """Install the shim, also in modules that have been imported already.

    A `.pth` file or `sitecustomize` may have imported any module, for example `asyncio`. The names
    of the standard library in such a module are replaced. Objects that it has made stay as they
    are. They work beside those of ctxvars, because a native context carries both.
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
    """Replace objects in the namespace of a module; the keys are their `id`s."""
    for name, value in list(getattr(module, "__dict__", {}).items()):
        if id(value) in others:
            setattr(module, name, others[id(value)])
