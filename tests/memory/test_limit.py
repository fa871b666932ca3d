"""Operations whose result does not fit into memory raise MemoryError, as those of dict do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from itertools import repeat
from pathlib import Path

import pytest

from ctxvars import ContextVar, Map, scope
from tests.support.subprocesses import in_subprocess

# The memory for an operation, and a number of entries that needs more.
ROOM = 2 * 2**20
MANY = 100_000
ENDLESS = range(10**8)


def limit_memory(more: int) -> None:
    """Limit the address space of this process to so many more bytes than it has now."""
    resource = import_module("resource")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def too_much() -> dict[str, Callable[[], object]]:
    big = dict.fromkeys(range(MANY))
    first = Map(big)
    # All hashes are different, and the maps share no nodes.
    second = Map.fromkeys(range(MANY, 2 * MANY))
    changed = Map.fromkeys(range(MANY), 1)
    named = {str(key): key for key in range(MANY)}
    variable = ContextVar[int]("variable")
    small = Map(a=1)
    # These run no Python code: CPython may lose an exception if it has no memory for the traceback.
    return {
        "new of a dict": lambda: Map(big),
        "new of pairs": lambda: Map(zip(ENDLESS, ENDLESS, strict=False)),
        "new of keywords": lambda: Map(**named),
        "fromkeys": lambda: Map.fromkeys(ENDLESS),
        "update": lambda: small.update(big),
        "update from an iterator": lambda: small.update(zip(ENDLESS, ENDLESS, strict=False)),
        "update of a mutation": lambda: small.mutate().update(big),
        "union": lambda: first | second,
        "union with a dict": lambda: small | big,
        "intersection": lambda: small.intersection(ENDLESS),
        "difference": lambda: small.difference(ENDLESS),
        "diff": lambda: first.diff(second),
        "diff of values": lambda: first.diff(changed),
        "==": lambda: first == big,
        "scope": lambda: scope(zip(repeat(variable), ENDLESS, strict=False)),
    }


def outcomes() -> dict[str, str]:
    operations = too_much()
    limit_memory(ROOM)
    found = {}
    for name, operation in operations.items():
        print(name, file=sys.stderr, flush=True)
        try:
            operation()
        except MemoryError:
            continue
        found[name] = "done"
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_operation_on_too_much_raises_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # Freed large blocks return to the system, so operations cannot use them again.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    # An operation that succeeds does not show anything.
    assert in_subprocess(outcomes) == {}
