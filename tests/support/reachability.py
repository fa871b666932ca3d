"""What the collector must do with a cycle: nothing as long as a member is held, all of it after."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

from tests.support.values import Value


def check_cycle(make: Callable[[], Any], close: Callable[[Value, Any], tuple[object, ...]]) -> None:
    """Each member of the cycle keeps all of it alive, and with the last one it goes.

    `make` gives a container, whose values may be of `Value` too; `close` makes a cycle through it
    and a value, and returns the members.
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
