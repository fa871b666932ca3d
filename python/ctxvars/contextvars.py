"""The shim: exactly the names of the standard library's `contextvars`, on the Rust core."""

from ctxvars._core import Context, ContextVar, Token, copy_context

__all__ = ("Context", "ContextVar", "Token", "copy_context")
