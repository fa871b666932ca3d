"""Building a map leaves no memory behind that `malloc` keeps for later allocations."""

from __future__ import annotations

import ctypes
import sys

import pytest

from ctxvars import Map
from tests.support.subprocesses import in_subprocess

SIZE = 300_000


class Mallinfo2(ctypes.Structure):
    """The structure of glibc; `fordblks` is the number of free bytes that `malloc` keeps."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks")),
        ("keepcost", ctypes.c_size_t),
    ]


def kept_bytes() -> int:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo2
    return int(mallinfo2().fordblks)


def kept_per_entry() -> float:
    """Return the bytes that `malloc` keeps after a map has been made of a large dict."""
    entries = {f"key {number}": number for number in range(SIZE)}
    # malloc maps this block. From then on, it takes blocks of up to this size from its heap.
    large = bytes(24 << 20)
    del large
    before = kept_bytes()
    map_ = Map(entries)
    kept = kept_bytes() - before
    assert len(map_) == SIZE
    return kept / SIZE


@pytest.mark.skipif(sys.platform != "linux", reason="reads the statistics of glibc")
def test_building_a_large_map_leaves_no_free_blocks() -> None:
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("another C library")
    assert in_subprocess(kept_per_entry) < 2
