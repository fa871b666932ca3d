"""`changes_since`: the changes since a context was copied, to be made in another context."""

from __future__ import annotations

from _contextvars import Context as NativeContext
from typing import TYPE_CHECKING, Any

from ctxvars import _core
from ctxvars._map.diff import check_resolver
from ctxvars._propagation.snapshot import Snapshot
from ctxvars._public import public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctxvars._map.diff import Change, MapDiff

    _Bindings = _core.Map[_core.ContextVar[Any], Any]
    _Resolve = Callable[[_core.ContextVar[Any], Any, Any, Any], object]


@public
class Changes:
    """The changes between the variables of two contexts. `changes_since` returns them.

    A variable has changed if it was set to another object, even to an equal one: these are the
    variables that `apply` sets. Iterating yields a `Change` for each of them, in no particular
    order. The length is their number, and without changes the object is false. It keeps the values
    of both contexts alive.
    """

    __slots__ = ("_base", "_diff", "_new")

    def __init__(self, base: _Bindings, new: _Bindings, /) -> None:
        self._base = base
        self._new = new
        self._diff: MapDiff[_core.ContextVar[Any], Any] | None = None

    def to_diff(self) -> MapDiff[_core.ContextVar[Any], Any]:
        """Return the changes as a `MapDiff`: O(changes) when it is first called, then O(1).

        Values are compared by identity. `Context.diff` and `Map.diff` do not list a variable that
        was set to an equal value; this method does.
        """
        if self._diff is None:
            self._diff = _core.changed_bindings(self._base, self._new)
        return self._diff

    def apply(self, *, resolve: _Resolve | None = None) -> None:
        """Make the same changes in the current context.

        This is a three-way merge: what the current context has changed meanwhile is kept. A
        variable that has been set on both sides is a conflict. Without `resolve`, equal values
        (`==`) are not a conflict; with `resolve`, values are not compared.

        Args:
            resolve: called as `resolve(variable, base, ours, theirs)` for each conflict, where
                `theirs` is the value to apply and `MISSING` stands for a value that is not there.
                It returns the value to set, or `MISSING` to leave the variable without one.

        Raises:
            MergeConflict: there are conflicts and no `resolve`. It lists all of them.
            TypeError: `resolve` is not callable.
            RuntimeError: `resolve` has set a variable that is among the changes.

        After an error, the variables are as they were. O(changes x log n), and one `set` of a
        native variable, whatever the number of changes.

        >>> import ctxvars
        >>> user, depth = ctxvars.ContextVar("user"), ctxvars.ContextVar("depth", default=0)
        >>> snapshot = ctxvars.copy_context()
        >>> def visit(name):
        ...     user.set(name)
        ...     return ctxvars.changes_since(snapshot)
        >>> ann, bob = (snapshot.copy().run(visit, name) for name in ["Ann", "Bob"])
        >>> token = depth.set(1)
        >>> ann.apply()
        >>> user.get(), depth.get()
        ('Ann', 1)
        >>> bob.apply(resolve=lambda variable, base, ours, theirs: f"{ours} and {theirs}")
        >>> user.get()
        'Ann and Bob'
        """
        check_resolver("apply", resolve)
        _core.apply_changes(self._base, self._new, resolve)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.to_diff())

    def __len__(self) -> int:
        return len(self.to_diff())

    def __repr__(self) -> str:
        return f"<ctxvars.Changes {self.to_diff()!r}>"


def changes_since(snapshot: Snapshot | _core.Context | NativeContext, /) -> Changes:
    """Return the changes of the current context since a snapshot was made.

    Args:
        snapshot: a result of `snapshot()` or `copy_context()`, made earlier in this context or in
            one that this context was copied from.

    Returns:
        The changes of the variables of ctxvars. Variables of the standard library are not compared.

    Raises:
        TypeError: `snapshot` is neither a snapshot nor a context.

    O(1). To iterate over the changes, or to apply them, is O(changes), not O(variables).

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> before = ctxvars.snapshot()
    >>> token = user.set("Ada")
    >>> [(change.key.name, change.new) for change in ctxvars.changes_since(before)]
    [('user', 'Ada')]
    """
    if isinstance(snapshot, NativeContext):
        snapshot = _core.Context.wrap(snapshot)
    if not isinstance(snapshot, Snapshot | _core.Context):
        raise TypeError(
            f"changes_since() argument 'snapshot' must be a Snapshot or a Context, got {snapshot!r}"
        )
    return Changes(snapshot.bindings, _core.copy_context().bindings)


public(changes_since)
