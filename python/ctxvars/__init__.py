"""Context variables on a persistent hash map with structural sharing, in Rust.

A drop-in for the standard library's `contextvars`, whose semantics (PEP 567) it keeps, and more.
For a module with exactly the standard library's names, import `ctxvars.contextvars`.
"""

from _collections_abc import Mapping as _Mapping

from ctxvars._core import Context, ContextVar, Token, copy_context
from ctxvars._tasks import create_task

__all__ = ["Context", "ContextVar", "Token", "copy_context", "create_task"]

_Mapping.register(Context)
