"""Pickling of variables: by reference, if something else names them.

A variable alone cannot be pickled, as in the standard library. Groups name the variables of their
fields, and declarations name portable variables. Each registers a function in `reducers`.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

from ctxvars._core import ContextVar

reducers: list[Callable[[ContextVar[Any]], tuple[Any, ...] | None]] = []
"""Functions that return how a variable is pickled, as `__reduce__` does, or `None`. The first one
with a result decides."""


def _reduce(variable: ContextVar[Any]) -> str | tuple[Any, ...]:
    for each in reducers:
        found = each(variable)
        if found is not None:
            return found
    # Raises the usual TypeError of an object that cannot be pickled.
    return variable.__reduce_ex__(4)


copyreg.pickle(ContextVar, _reduce)
