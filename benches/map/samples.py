"""The maps, keys and values that the benchmarks of the map work on.

Each library gets a map of the same entries. A key to look up equals the stored key, but is another
object with a cached hash, like a string that was read from the network. Each look-up uses another
key, so that neither the interpreter nor the CPU can cache the result.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

import immutables
import rpds
from paired import OURS

import ctxvars

LIBRARIES: dict[str, Callable[[Any], Any]] = {
    OURS: ctxvars.Map,
    "immutables": immutables.Map,
    "rpds": rpds.HashTrieMap,
    "dict": dict,
}
SUITE = "map"
PEER = "immutables"
"""The library that the ratios refer to."""

PEERS = tuple(name for name in LIBRARIES if name != OURS)

LOOKED_UP = 1000
"""The number of keys that are looked up, set or deleted in one round."""

REMADE = 100
"""Up to this size, each round makes new entries, because collisions depend on their hashes."""

_numbers = count(1_000_000, 10_000_000)


class Point:
    """A key as a program may define one."""

    __slots__ = ("x", "y")

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.x == other.x and self.y == other.y

    def __hash__(self) -> int:
        return hash((self.x, self.y))


KEYS: dict[str, Callable[[int], Any]] = {
    "str": lambda number: f"key_{number}",
    "int": lambda number: int(str(number)),
    "tuple": lambda number: (f"key_{number}", number),
    "object": lambda number: Point(number, number + 1),
}
"""Functions that make a key of each kind from a number. Equal numbers make equal keys."""


class Sample:
    """The maps of one size, and what to do with them."""

    def __init__(self, size: int, kind: str) -> None:
        first = next(_numbers)
        self._key = KEYS[kind]
        self._numbers = range(first, first + size)
        self._maps: dict[str, Any] = {}
        self._apart: dict[str, Any] = {}
        self._pickled: dict[str, bytes] = {}
        self._keys: set[Any] | None = None
        self.entries = {self.key(number): int(str(number)) for number in self._numbers}
        self.stored = [self.key(number) for number in self._drawn()]
        self.absent = [self.key(first + size + index) for index in range(LOOKED_UP)]

    def key(self, number: int) -> Any:
        key = self._key(number)
        hash(key)  # A string caches it.
        return key

    def _drawn(self) -> list[int]:
        """Return the numbers of `LOOKED_UP` stored keys, all different if there are enough."""
        rounds = -(-LOOKED_UP // len(self._numbers))
        drawn = [
            number
            for _ in range(rounds)
            for number in random.sample(self._numbers, min(len(self._numbers), LOOKED_UP))
        ]
        return drawn[:LOOKED_UP]

    def map(self, library: str) -> Any:
        if library not in self._maps:
            self._maps[library] = LIBRARIES[library](self.entries)
        return self._maps[library]

    def apart(self, library: str) -> Any:
        """An equal map that was made in another order from equal keys and values."""
        if library not in self._apart:
            numbers = random.sample(self._numbers, len(self._numbers))
            entries = {self.key(number): int(str(number)) for number in numbers}
            self._apart[library] = LIBRARIES[library](entries)
        return self._apart[library]

    def keys(self) -> set[Any]:
        """All keys, made once."""
        if self._keys is None:
            self._keys = set(self.entries)
        return self._keys

    def pickled(self, library: str) -> bytes:
        if library not in self._pickled:
            self._pickled[library] = pickle.dumps(self.map(library))
        return self._pickled[library]


_kept = cache(Sample)


def sample(size: int, kind: str = "str") -> Sample:
    """A fresh sample if it is small, and otherwise the one and only of its size and kind."""
    return Sample(size, kind) if size <= REMADE else _kept(size, kind)


def derived(library: str, mapping: Any, changes: dict[Any, Any]) -> Any:
    """The map with some keys set, one by one, by whatever means the library has for that."""
    if library == "dict":
        return mapping | changes
    for key, value in changes.items():
        mapping = mapping.insert(key, value) if library == "rpds" else mapping.set(key, value)
    return mapping
