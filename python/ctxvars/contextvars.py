"""The shim: the standard library's `contextvars`, name for name, on the Rust core."""

from ctxvars._core import Context, ContextVar, Token, copy_context

__all__ = ("Context", "ContextVar", "Token", "copy_context")
