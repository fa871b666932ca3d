"""Keys whose methods call a function, for the tests of re-entrant user code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Trap:
    """Calls a function once, from within the n-th call of a method of a key."""

    def __init__(self) -> None:
        self.calls_left = 0
        self.action: Callable[[], object] | None = None

    def set(self, calls: int, action: Callable[[], object]) -> None:
        self.calls_left, self.action = calls, action

    def step(self) -> None:
        self.calls_left -= 1
        if self.calls_left == 0 and self.action is not None:
            action, self.action = self.action, None
            action()

    def has_sprung(self) -> bool:
        sprung, self.action = self.action is None, None
        return sprung


TRAP = Trap()


class Key:
    """A key that counts as one call of the trap each time it is hashed or compared."""

    def __init__(self, name: Any, hash_: int = 1) -> None:
        self.name, self.hash = name, hash_

    def __hash__(self) -> int:
        TRAP.step()
        return self.hash

    def __eq__(self, other: object) -> bool:
        TRAP.step()
        return isinstance(other, Key) and self.name == other.name

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


def assert_consistent(mapping: Any) -> None:
    keys = list(mapping)
    assert len(mapping) == len(keys) == len(set(keys)) == len(list(mapping.items()))
    for key in keys:
        assert key in mapping
        assert mapping[key] is mapping[Key(key.name, key.hash)]
