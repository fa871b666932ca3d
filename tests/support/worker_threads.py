"""Threads and pools for the tests of propagation, with and without the patch."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ctxvars import ContextThread, ContextThreadPoolExecutor
from tests.support.carried import in_new_context, outlives

# Options of the interpreter: since 3.14, threads inherit the context of their starter if asked to.
INHERIT = [(), ("-X", "thread_inherit_context=0"), ("-X", "thread_inherit_context=1")]


def ran(thread: threading.Thread) -> threading.Thread:
    thread.start()
    thread.join(30)
    return thread


class Running(ContextThread):
    """A thread that has its work in a method `run`, and a constructor of its own."""

    def __init__(self, variable: Any) -> None:
        super().__init__(name="running")
        self.variable = variable
        self.seen: list[object] = []

    def run(self) -> None:
        self.seen.append(self.variable.get())
        self.variable.set("the thread's")
        super().run()


def seen_by_late_calls(pool: Any, variable: Any) -> list[tuple[int, object]]:
    """What calls see that are submitted after the context of the map has been left."""

    def start() -> Any:
        variable.set("mapped")
        return pool.map(lambda number: (number, variable.get()), range(4), buffersize=1)

    return list(in_new_context(start))


SEEN_BY_LATE_CALLS = [(number, "mapped") for number in range(4)]


def pinned_by_a_worker(name: str) -> list[bool]:
    """Whether a context lives on while the worker that was made for its call waits for another."""
    make = {"ours": ContextThreadPoolExecutor, "plain": ThreadPoolExecutor}[name]

    def submit(variable: Any) -> Any:
        pool = make(max_workers=1)
        pool.submit(variable.get).result()
        # The worker has dropped the first call for certain when it has run the next one.
        in_new_context(pool.submit, int).result()
        return pool

    return outlives(submit)
