"""The shim: exactly the names of the standard library's `contextvars`, on the Rust core.

For pytest, which adds names to the modules that it rewrites: PYTEST_DONT_REWRITE.
"""

from ctxvars._core import Context, ContextVar, Token, copy_context

__all__ = ("Context", "ContextVar", "Token", "copy_context")
