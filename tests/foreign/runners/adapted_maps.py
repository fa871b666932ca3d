"""`ctxvars.Map` with the interfaces of other maps, for the tests of these maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

import ctxvars

EMPTY: ctxvars.Map[Any, Any] = ctxvars.Map()


class Hamt:
    """The map inside CPython's `contextvars`, as `_testinternalcapi.hamt` shows it to tests."""

    __slots__ = ("__weakref__", "map")

    def __init__(self, map: ctxvars.Map[Any, Any] = EMPTY) -> None:
        self.map = map

    def next_version(self, map: ctxvars.Map[Any, Any]) -> Hamt:
        return self if map is self.map else Hamt(map)

    def set(self, key: object, value: object) -> Hamt:
        return self.next_version(self.map.set(key, value))

    def delete(self, key: object) -> Hamt:
        return self.next_version(self.map.discard(key))

    def get(self, key: object, default: object = None) -> object:
        return self.map.get(key, default)

    def keys(self) -> SizedIterator:
        return SizedIterator(self.map.keys())

    def values(self) -> SizedIterator:
        return SizedIterator(self.map.values())

    def items(self) -> SizedIterator:
        return SizedIterator(self.map.items())

    def __getitem__(self, key: object) -> object:
        return self.map[key]

    def __contains__(self, key: object) -> bool:
        return key in self.map

    def __iter__(self) -> Iterator[object]:
        return iter(self.map)

    def __len__(self) -> int:
        return len(self.map)

    def __eq__(self, other: object) -> bool:
        return self.map == other.map if isinstance(other, Hamt) else NotImplemented

    __hash__ = None


class SizedIterator:
    """An iterator with the length of its container, as those of a HAMT."""

    __slots__ = ("iterator", "view")

    def __init__(self, view: Any) -> None:
        self.view = view
        self.iterator = iter(view)

    def __len__(self) -> int:
        return len(self.view)

    def __iter__(self) -> SizedIterator:
        return self

    def __next__(self) -> object:
        return next(self.iterator)


class Versions(MutableMapping[Any, Any]):
    """A `dict` that holds the latest version of a map: each write makes the next version."""

    def __init__(self, *collections: Any, **entries: Any) -> None:
        self.map = ctxvars.Map(*collections, **entries)

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None) -> Versions:
        made = cls()
        # A subclass may override `__setitem__`, or create an instance of another class.
        for key in ctxvars.Map.fromkeys(keys):
            made[key] = value
        return made

    def copy(self) -> Versions:
        return type(self)(self.map)

    def update(self, *collections: Any, **entries: Any) -> None:
        self.map = self.map.update(*collections, **entries)

    def clear(self) -> None:
        self.map = EMPTY

    def get(self, *arguments: Any) -> Any:
        return self.map.get(*arguments)

    def keys(self) -> Any:
        return self.map.keys()

    def values(self) -> Any:
        return self.map.values()

    def items(self) -> Any:
        return self.map.items()

    def __getitem__(self, key: Any) -> Any:
        return self.map[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.map = self.map.set(key, value)

    def __delitem__(self, key: Any) -> None:
        self.map = self.map.delete(key)

    def __contains__(self, key: object) -> bool:
        return key in self.map

    def __iter__(self) -> Iterator[Any]:
        return iter(self.map)

    def __len__(self) -> int:
        return len(self.map)

    def __eq__(self, other: object) -> bool:
        return self.map == (other.map if isinstance(other, Versions) else other)

    __hash__ = None

    def __or__(self, other: object) -> Any:
        return self.joined(self.map.__or__(other))

    def __ror__(self, other: object) -> Any:
        return self.joined(self.map.__ror__(other))

    def __ior__(self, other: Any) -> Versions:
        self.update(other)
        return self

    def joined(self, map: Any) -> Any:
        return map if map is NotImplemented else type(self)(map)

    def __repr__(self) -> str:
        return repr(self.map).removeprefix("ctxvars.Map(").removesuffix(")")
