"""Context variables whose tokens can be used twice, to show that the comparisons detect it.

`python broken_contextvars.py [ARGS...]` runs pytest on them.
"""

import _contextvars
import runpy
import sys
from _contextvars import Context, Token, copy_context
from typing import Any

__all__ = ("Context", "ContextVar", "Token", "copy_context")


class ContextVar:
    def __init__(self, name: str, **default: Any) -> None:
        self.variable = _contextvars.ContextVar(name, **default)
        self.get = self.variable.get
        self.set = self.variable.set

    def reset(self, token: Token[Any]) -> None:
        try:
            self.variable.reset(token)
        except RuntimeError:
            self.variable.set(token.old_value)


if __name__ == "__main__":
    import broken_contextvars

    sys.modules["contextvars"] = broken_contextvars
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)
