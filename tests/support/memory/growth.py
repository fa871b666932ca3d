"""Measures the growth of memory while an operation is repeated.

The repetitions are made in equal rounds. The first half fills free lists, caches and the pools of
allocators. In the second half, no amount may grow. A workload whose amounts grow is measured again:
a free list that filled late does not grow again, but a leak does. The amounts are:

* blocks: what CPython's allocator has given out, objects and other memory up to 512 bytes;
* bytes of malloc: what the C library has given out, to Rust, to CPython for what is larger (glibc);
* objects: what the collector tracks, after a collection;
* references to each of the objects that the operations share, where a missing one counts as well;
* all references, on a debug build of CPython;
* resident memory: the pages of the process that are in memory (Linux), which catches the rest.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROUNDS = 10
ATTEMPTS = 8
STATM = Path("/proc/self/statm")
REFERENCES = "references to "
# Changes that caches of the interpreter cause, however often an operation is repeated. An operation
# that leaks adds at least one each time, so a few dozen repetitions show it.
TOLERANCE = {
    "blocks": 20,
    "objects": 5,
    "malloc": 16_384,
    "all references": 20,
    "resident": 1 << 20,
}
TOLERANCE_OF_REFERENCES = 5


@dataclass(frozen=True)
class Workload:
    """An operation that must leave memory as it was, and how often to do it."""

    name: str
    operation: Callable[[], object]
    times: int = 1_000_000
    # How many repetitions one call of the operation counts for.
    per_call: int = 1


@dataclass
class Growth:
    """The amounts before, between and after the repetitions."""

    workload: Workload
    times: int
    seconds: float
    # The amounts before the first round, after half of the rounds and after all.
    before: dict[str, int]
    middle: dict[str, int]
    after: dict[str, int]

    def added(self, name: str) -> int:
        """Return the growth of an amount in the second half of the rounds."""
        return self.after[name] - self.middle[name]

    def per_million(self, name: str) -> float:
        """The growth of an amount in a million repetitions."""
        return self.added(name) / (self.times / 2) * 1e6

    @property
    def leaks(self) -> list[str]:
        """The names of the amounts that grew, and of objects that lost references."""
        return [name for name in self.after if leaked(name, self.added(name))]


def leaked(name: str, added: int) -> bool:
    if name.startswith(REFERENCES):
        return abs(added) > TOLERANCE_OF_REFERENCES
    return added > TOLERANCE[name]


class MallocInfo(ctypes.Structure):
    """The `struct mallinfo2` of glibc."""

    FIELDS = (
        *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
        *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
    )
    _fields_ = tuple((name, ctypes.c_size_t) for name in FIELDS)


def malloc_meter() -> Callable[[], int] | None:
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return None
    mallinfo2.restype = MallocInfo

    def malloc_bytes() -> int:
        info = mallinfo2()
        return int(info.uordblks + info.hblkhd)

    return malloc_bytes


def resident_bytes() -> int:
    return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGESIZE")


def meters(shared: dict[str, object]) -> dict[str, Callable[[], int]]:
    """Return a function for each amount that this interpreter and system can measure."""
    found: dict[str, Callable[[], int] | None] = {
        "blocks": sys.getallocatedblocks,
        "malloc": malloc_meter(),
        "objects": lambda: len(gc.get_objects()),
        "all references": getattr(sys, "gettotalrefcount", None),
        "resident": resident_bytes if STATM.exists() else None,
    }
    found |= {REFERENCES + name: partial(sys.getrefcount, one) for name, one in shared.items()}
    return {name: meter for name, meter in found.items() if meter is not None}


class Amounts:
    """The amounts at one time, in memory that is allocated before they are measured.

    Python integers would be counted among the blocks.
    """

    def __init__(self, meters: dict[str, Callable[[], int]]) -> None:
        self.meters = meters
        self.numbers = array("q", [0] * len(meters))

    def take(self) -> None:
        gc.collect()
        for index, meter in enumerate(self.meters.values()):
            self.numbers[index] = meter()

    def by_name(self) -> dict[str, int]:
        return dict(zip(self.meters, self.numbers, strict=True))


def repeat(operation: Callable[[], object], times: int) -> None:
    for _ in range(times):
        operation()


def measure_once(workload: Workload, shared: dict[str, object], scale: float) -> Growth:
    calls = max(round(workload.times * scale / workload.per_call / ROUNDS), 1)
    taken = meters(shared)
    before, middle, after = Amounts(taken), Amounts(taken), Amounts(taken)
    before.take()
    start = time.perf_counter()
    for number in range(1, ROUNDS + 1):
        repeat(workload.operation, calls)
        (middle if number <= ROUNDS // 2 else after).take()
    return Growth(
        workload,
        times=calls * workload.per_call * ROUNDS,
        seconds=time.perf_counter() - start,
        before=before.by_name(),
        middle=middle.by_name(),
        after=after.by_name(),
    )


def measure(workload: Workload, shared: dict[str, object], scale: float = 1.0) -> Growth:
    """Do the repetitions, or the share `scale` of them."""
    # The collector ignores the objects that exist already, so that collections are fast.
    gc.collect()
    gc.freeze()
    try:
        for _ in range(ATTEMPTS):
            growth = measure_once(workload, shared, scale)
            if not growth.leaks:
                break
        return growth
    finally:
        gc.unfreeze()


def changed_counts(
    operation: Callable[[], object], counted: list[object], *, warm_up: int, times: int
) -> list[int]:
    """Return the growth of the reference count of each object, and of the number of objects."""

    def counts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(one) for one in counted] + [len(gc.get_objects())]

    repeat(operation, warm_up)
    before = counts()
    repeat(operation, times)
    return [new - old for old, new in zip(before, counts(), strict=True)]


def added_by(work: Callable[[int], object], rounds: int) -> dict[str, int]:
    """Return the growth of each amount in `10 * rounds` rounds, after a warm-up."""
    before, after = Amounts(meters({})), Amounts(meters({}))
    work(rounds)
    work(rounds)
    before.take()
    work(10 * rounds)
    after.take()
    return {name: amount - before.by_name()[name] for name, amount in after.by_name().items()}


def blocks_left_by(flood: Callable[[], object], times: int = 5) -> list[int]:
    """Return the number of blocks that stay allocated after each of several floods of objects."""
    left = []
    before = sys.getallocatedblocks()
    for _ in range(times):
        flood()
        gc.collect()
        left.append(sys.getallocatedblocks() - before)
    return left
