"""The values that fixtures and tests see, wherever they run.

Sync fixtures and tests run in the context of the main thread. Async ones run in tasks, whose
contexts the plugin for asyncio or anyio chooses: the context of a task that was created earlier, or
a copy. Each function keeps its context, so that tokens are reset in the contexts in which they were
made. Only the values of variables move from one context to the other:

- before code starts in the context of a task, that context gets all *visible* values;
- when the code has ended, its changes become a layer, which its fixture or test owns;
- the main thread then gets all visible values.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctxvars._core import copy_context
from ctxvars.pytest_plugin._current import changes_between, current_bindings, set_bindings
from ctxvars.pytest_plugin._layers import Layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctxvars.pytest_plugin._current import Variable


class Isolation:
    """The layers of a session, and who is changing variables now."""

    def __init__(self) -> None:
        self.layers = Layers(copy_context())
        # Fixtures that request fixtures while they are set up nest.
        self._owners: list[object] = []
        self._seen = self.layers.visible

    def account(self) -> None:
        """Give the changes since the last call, in the current context, to the present owner."""
        now = current_bindings()
        self.layers.add(self._owners[-1] if self._owners else None, self._seen, now)
        self._seen = now

    def show(self) -> None:
        """Make the visible values those of the current context."""
        set_bindings(self.layers.visible)
        self._seen = current_bindings()

    def touched(self) -> set[Variable]:
        """Return the variables that were changed in the current context since the last call."""
        return set(changes_between(self._seen, current_bindings()))

    @contextmanager
    def owned_by(self, owner: object) -> Iterator[None]:
        """Give the owner the changes of the block."""
        self.account()
        self._owners.append(owner)
        try:
            yield
        finally:
            self.account()
            self._owners.pop()

    @contextmanager
    def in_task(self) -> Iterator[None]:
        """Around a block in the context of a task: the block sees the visible values."""
        self.show()
        try:
            yield
        finally:
            self.account()

    def release(self, owner: object) -> None:
        """Undo all changes of the owner."""
        self.layers.remove(owner)
        self.show()
