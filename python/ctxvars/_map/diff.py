"""The results of `Map.diff`, and the conflicts of `Map.merge`."""

from collections.abc import Hashable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from ctxvars import _core
from ctxvars._arguments import check_callable
from ctxvars._missing import MISSING
from ctxvars._public import public

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@public
class Change(NamedTuple):
    """The change of one key. `MISSING` stands for a value that is not there."""

    key: Any
    old: Any
    new: Any


@public
class MapDiff(Generic[K, V]):
    """The differences between two maps: made by `Map.diff`, used by `Map.apply`.

    Iterating over it yields a `Change` for each key, in no particular order. Its length is the
    number of changes. It is false if it has no changes.

    >>> from ctxvars import Map
    >>> diff = Map(a=1, b=2).diff(Map(b=3, c=4))
    >>> diff.added, diff.removed, diff.changed
    (ctxvars.Map({'c': 4}), ctxvars.Map({'a': 1}), ctxvars.Map({'b': (2, 3)}))
    >>> min(diff)
    Change(key='a', old=1, new=<Token.MISSING>)
    >>> Map(a=1, b=2).apply(diff) == Map(b=3, c=4)
    True
    """

    __slots__ = {
        "added": "The entries that only the new map has.",
        "changed": "The keys whose values differ, each with the old and the new value.",
        "removed": "The entries that only the old map has.",
    }

    added: _core.Map[K, V]
    removed: _core.Map[K, V]
    changed: _core.Map[K, tuple[V, V]]

    def __init__(
        self,
        added: _core.Map[K, V],
        removed: _core.Map[K, V],
        changed: _core.Map[K, tuple[V, V]],
    ) -> None:
        self.added = added
        self.removed = removed
        self.changed = changed

    def __iter__(self) -> Iterator[Change]:
        for key, new in self.added.items():
            yield Change(key, MISSING, new)
        for key, old in self.removed.items():
            yield Change(key, old, MISSING)
        for key, (old, new) in self.changed.items():
            yield Change(key, old, new)

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.changed)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MapDiff):
            return NotImplemented
        return (self.added, self.removed, self.changed) == (
            other.added,
            other.removed,
            other.changed,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"ctxvars.MapDiff(added={self.added!r}, removed={self.removed!r}, "
            f"changed={self.changed!r})"
        )


@public
class Conflict(NamedTuple):
    """A key that two maps have changed in different ways.

    `MISSING` stands for a value that is not there.
    """

    key: Any
    base: Any
    ours: Any
    theirs: Any


@public
class MergeConflict(Exception):
    """Two maps cannot be merged: both have changed the same keys, in different ways."""

    conflicts: tuple[Conflict, ...]
    """All conflicts of the merge."""

    def __init__(self, conflicts: tuple[Conflict, ...]) -> None:
        super().__init__(conflicts)
        self.conflicts = conflicts

    def __str__(self) -> str:
        shown = ", ".join(repr(conflict.key) for conflict in self.conflicts[:5])
        more = ", ..." if len(self.conflicts) > 5 else ""
        count = f"{len(self.conflicts)} key{'s were' if len(self.conflicts) > 1 else ' was'}"
        return (
            f"{count} changed in different ways on both sides: "
            f"{shown}{more}. Pass resolve= to choose a value for each"
        )


def check_resolver(function: str, resolve: Any) -> None:
    """Raise `TypeError` if `resolve` is not callable, whether there is a conflict or not."""
    if resolve is not None:
        check_callable(function, "resolve", resolve)


def merge_conflict_of(conflicts: list[tuple[Any, Any, Any, Any]]) -> MergeConflict:
    """Return the exception for these conflicts, to be raised by compiled code."""
    return MergeConflict(tuple(Conflict(*conflict) for conflict in conflicts))
