"""Threads and pools for the tests of propagation, with and without the patch."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ctxvars import ContextThread, ContextThreadPoolExecutor
from tests.support.new_context import in_new_context, outlives

# Options of the interpreter. Since 3.14, threads can inherit the context of their starter.
INHERIT = [(), ("-X", "thread_inherit_context=0"), ("-X", "thread_inherit_context=1")]


def ran(thread: threading.Thread) -> threading.Thread:
    thread.start()
    thread.join(30)
    return thread


class Running(ContextThread):
    """A subclass with its own constructor, whose work is in the method `run`."""

    def __init__(self, variable: Any) -> None:
        super().__init__(name="running")
        self.variable = variable
        self.seen: list[object] = []

    def run(self) -> None:
        self.seen.append(self.variable.get())
        self.variable.set("the thread's")
        super().run()


def seen_by_late_calls(pool: Any, variable: Any) -> list[tuple[int, object]]:
    """Return the values in calls that are submitted after the context of the map was left."""

    def start() -> Any:
        variable.set("mapped")
        return pool.map(lambda number: (number, variable.get()), range(4), buffersize=1)

    return list(in_new_context(start))


SEEN_BY_LATE_CALLS = [(number, "mapped") for number in range(4)]


def pinned_by_a_worker(name: str) -> list[bool]:
    """Whether a context outlives its call while the worker of that call waits for the next one."""
    make = {"ours": ContextThreadPoolExecutor, "plain": ThreadPoolExecutor}[name]

    def submit(variable: Any) -> Any:
        pool = make(max_workers=1)
        pool.submit(variable.get).result()
        # A worker that has run the next call has certainly dropped the first one.
        in_new_context(pool.submit, int).result()
        return pool

    return outlives(submit)
