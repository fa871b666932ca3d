"""What differs between maps: `Map.diff` and `merge`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ctxvars import _core
from ctxvars._arguments import check_callable
from ctxvars._missing import MISSING

if TYPE_CHECKING:
    from ctxvars._core import _MissingType

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Change(NamedTuple):
    """What became of one key: `MISSING` stands for "not there"."""

    key: Any
    old: Any
    new: Any


class MapDiff(Generic[K, V]):
    """What leads from one map to another: made by `Map.diff`, used by `Map.apply`.

    Iterating over it yields a `Change` for each key, in no particular order; it is true if there
    is any.

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
        "added": "What only the new map has.",
        "changed": "The keys of both whose values differ, with the old and the new value.",
        "removed": "What only the old map has.",
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


class Conflict(NamedTuple):
    """A key that two maps have changed in different ways: `MISSING` stands for "not there"."""

    key: Any
    base: Any
    ours: Any
    theirs: Any


class MergeConflict(Exception):
    """Two maps cannot be merged, because both have changed the same keys in different ways."""

    conflicts: tuple[Conflict, ...]
    """All of them."""

    def __init__(self, conflicts: tuple[Conflict, ...]) -> None:
        super().__init__(conflicts)
        self.conflicts = conflicts

    def __str__(self) -> str:
        shown = ", ".join(repr(conflict.key) for conflict in self.conflicts[:5])
        more = ", ..." if len(self.conflicts) > 5 else ""
        count = f"{len(self.conflicts)} key{'s were' if len(self.conflicts) > 1 else ' was'}"
        return (
            f"{count} changed in different ways on both sides: "
            f"{shown}{more}. Pass resolve= to decide what becomes of them"
        )


def check_resolver(function: str, resolve: Any) -> None:
    """Refuse what cannot be called, whether there is a conflict or not."""
    if resolve is not None:
        check_callable(function, "resolve", resolve)


def refuse(conflicts: list[tuple[Any, Any, Any, Any]]) -> None:
    """Raise `MergeConflict` if there is any conflict."""
    if conflicts:
        raise MergeConflict(tuple(Conflict(*conflict) for conflict in conflicts))


def merge(
    base: Mapping[K, V],
    ours: Mapping[K, V],
    theirs: Mapping[K, V],
    *,
    resolve: Callable[[K, Any, Any, Any], V | _MissingType] | None = None,
) -> _core.Map[K, V]:
    """Return `base` with the changes that led to `ours` and those that led to `theirs`.

    Args:
        base: the map that both came from.
        ours: one descendant.
        theirs: the other one.
        resolve: called as `resolve(key, base, ours, theirs)` for each key that both have changed in
            different ways, where `MISSING` stands for a value that is not there. It returns the
            value to keep, or `MISSING` to leave the key out.

    Raises:
        MergeConflict: if there are such keys and no `resolve`; it carries all of them.

    Values are compared by identity, then by `==`. O(changes x log n) between maps that share nodes.

    >>> from ctxvars import Map, merge
    >>> base = Map(a=1, b=2)
    >>> merge(base, base.set("a", 10), base.delete("b")) == Map(a=10)
    True
    >>> ours, theirs = base.set("a", 10), base.set("a", 20)
    >>> merge(base, ours, theirs, resolve=lambda key, *values: max(values)) == Map(a=20, b=2)
    True
    """
    check_resolver("merge", resolve)
    merged: _core.Map[K, V]
    merged, conflicts = _core.merge(base, ours, theirs, resolve)
    refuse(conflicts)
    return merged
