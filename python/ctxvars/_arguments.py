"""Checks of arguments."""

from __future__ import annotations

from typing import Any


def check_callable(function: str, argument: str, value: Any) -> None:
    """Raise `TypeError` if an argument is not callable: early, before it would be called."""
    if not callable(value):
        raise TypeError(f"{function}() argument {argument!r} must be callable, got {value!r}")
