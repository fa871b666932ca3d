"""Memory of a ctxvars.Map, and time of the garbage collector for it: `make bench`."""

from __future__ import annotations

import gc
import tracemalloc
from time import process_time
from typing import Any

import pytest
from operations import at_most
from paired import OURS
from report import Bar, Measurement
from samples import LIBRARIES, PEER, SUITE, Sample

MILLION = 1_000_000


def traced_bytes(library: str, size: int, maps: int) -> float:
    """Return the mean number of bytes of a map, without its keys and values."""
    make = LIBRARIES[library]
    entries = [Sample(size, "str").entries for _ in range(maps)]
    kept = [None] * maps
    # Use up memory that a library keeps from freed maps: it is not traced.
    spare = [make(entries[0]) for _ in range(max(20_000 // size, 1))]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for index in range(maps):
            kept[index] = make(entries[index])
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del spare
    return (after - before) / maps


@pytest.mark.parametrize(
    ("name", "size", "bars"),
    [
        ("memory of a map", 8, at_most(200)),
        ("memory, per entry", 100, ()),
        ("memory, per entry", 10_000, ()),
        ("memory, per entry", MILLION, at_most(60)),
    ],
)
def test_memory(benchmark: Any, name: str, size: int, bars: tuple[Bar, ...]) -> None:
    """Not for rpds, whose allocations tracemalloc does not trace."""
    maps = max(2000 // size, 1)
    rounds = 1 if size == MILLION else 5
    entries = size if name.endswith("per entry") else 1
    samples: dict[str, list[float]] = {}

    def take() -> None:
        for library in (OURS, PEER, "dict"):
            taken = traced_bytes(library, size, maps) / entries
            samples.setdefault(library, []).append(taken)

    benchmark.pedantic(take, rounds=rounds)
    Measurement(SUITE, name, samples, size, "B", list(bars)).record(benchmark)


def test_collection(benchmark: Any) -> None:
    """Measure how much longer a full collection takes if there is a map."""
    entries = Sample(MILLION, "str").entries
    samples: dict[str, list[float]] = {}

    def collection() -> float:
        start = process_time()
        gc.collect()
        return process_time() - start

    def take() -> None:
        for library, make in LIBRARIES.items():
            alone = collection()
            kept = make(entries)
            collection()
            samples.setdefault(library, []).append(collection() - alone)
            del kept

    # Everything that is alive is put out of the collector's sight, so that what remains is the map.
    gc.collect()
    gc.freeze()
    try:
        benchmark.pedantic(take, rounds=3)
    finally:
        gc.unfreeze()
    Measurement(
        SUITE, "gc.collect() beside a map", samples, len(entries), bars=list(at_most(5e-3))
    ).record(benchmark)
