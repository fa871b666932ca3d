"""Which fixture, hook or test has changed which variable: one layer upon another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctxvars.pytest_plugin._current import changes_between, make_changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctxvars._core import Context
    from ctxvars.pytest_plugin._current import Bindings, Variable


class Layers:
    """Changes of variables in the order in which they were made, each with its owner.

    A fixture can end before one that was set up earlier. So its changes are not undone by restoring
    older values: its layers are taken out, and the values are computed from the other layers.
    """

    def __init__(self, base: Context) -> None:
        self._base = base
        self._all = base.copy()
        """The base, with the changes of all layers."""
        self._layers: list[tuple[object, dict[Variable, Any]]] = []

    @property
    def visible(self) -> Bindings:
        """The values of all variables, as the layers make them."""
        return self._all.bindings

    def add(self, owner: object, before: Bindings, after: Bindings) -> None:
        """Put the changes between these bindings, which the owner has made, on top."""
        changes = changes_between(before, after)
        if not changes:
            return
        if self._layers and self._layers[-1][0] is owner:
            self._layers[-1][1].update(changes)
        else:
            self._layers.append((owner, changes))
        self._all.run(make_changes, changes)

    def changes_of(self, owner: object) -> dict[Variable, Any]:
        """Return the variables that the owner has changed, with their last values or `MISSING`."""
        merged: dict[Variable, Any] = {}
        for its_owner, changes in self._layers:
            if its_owner is owner:
                merged.update(changes)
        return merged

    def remove(self, owner: object) -> None:
        """Undo all changes of the owner."""
        kept = [layer for layer in self._layers if layer[0] is not owner]
        if len(kept) < len(self._layers):
            self._layers = kept
            self._compute()

    def forget(self, owner: object, variables: Iterable[Variable]) -> None:
        """Undo the changes that the owner has made to these variables."""
        for its_owner, changes in self._layers:
            if its_owner is owner:
                for variable in variables:
                    changes.pop(variable, None)
        self._compute()

    def _compute(self) -> None:
        self._all = self._base.copy()
        for _, changes in self._layers:
            self._all.run(make_changes, changes)
