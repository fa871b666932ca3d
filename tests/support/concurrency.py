"""Calls in several threads at once, and in a thread with a small stack."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

# An interval for `sys.setswitchinterval`: threads then take turns after every few instructions.
OFTEN = 1e-6

SMALL_STACK = 256 * 1024  # bytes


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """Call each in its own thread, all at once; return the results, or raise what any raised."""
    results: list[Any] = [None] * len(works)
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def guarded(index: int) -> None:
        try:
            barrier.wait()
            results[index] = works[index]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    return results


def with_small_stack(work: Callable[[], Any]) -> Any:
    """Call in a thread whose stack is small, so that unbounded recursion is a crash."""
    before = threading.stack_size(SMALL_STACK)
    try:
        return in_threads(work)[0]
    finally:
        threading.stack_size(before)
