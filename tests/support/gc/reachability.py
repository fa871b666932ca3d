"""Check that the collector frees a cycle if, and only if, none of its members is reachable."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

from tests.support.gc.values import Value


def check_cycle(make: Callable[[], Any], close: Callable[[Value, Any], tuple[object, ...]]) -> None:
    """Check that each member keeps the cycle alive, and that it is freed without any of them.

    `make` returns a container, whose values may be instances of `Value`. `close` makes a cycle
    through the container and a value, and returns the members.
    """
    for member in count():
        value, container = Value(42), make()
        weak = weakref.ref(value)
        neighbours = [weakref.ref(v) for v in container.values() if isinstance(v, Value)]
        members = close(value, container)
        del value, container
        if member == len(members):
            break
        held = members[member]
        del members
        gc.collect()
        found = weak()
        assert found is not None, f"collected, though reachable from {held!r}"
        assert found.number == 42
        assert found.refs
        del held, found
        gc.collect()
        assert weak() is None, "leaked"
        assert not any(neighbour() for neighbour in neighbours), "a neighbour leaked"
    assert member >= 2
