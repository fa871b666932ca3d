"""Operations of propagation that are repeated to show that memory does not grow."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import Any

import ctxvars
from ctxvars import ContextThread, ContextThreadPoolExecutor, merge_back, run_collecting
from ctxvars.logging import ContextFilter
from tests.support.gc.values import Value
from tests.support.memory.contexts import Shared, fail, fails
from tests.support.memory.growth import Workload

BATCH = 100


def propagation_workloads() -> tuple[list[Workload], Shared]:
    """Workloads on threads, executors, changes that are merged back, and log records."""
    variable, other = (ctxvars.ContextVar[Any](name) for name in ("one", "other"))
    value = Value()
    context = ctxvars.Context()
    context.run(variable.set, value)
    snapshot = context.run(ctxvars.snapshot)
    pool = ContextThreadPoolExecutor(max_workers=1)
    capture = ContextFilter(variable, other)

    def bring_back() -> None:
        def change() -> ctxvars.Changes:
            other.set(value)
            return ctxvars.changes_since(snapshot)

        changes = snapshot.run(change)
        len(changes)
        snapshot.run(changes.apply)

    def refuse() -> None:
        def change() -> ctxvars.Changes:
            variable.set(object())
            return ctxvars.changes_since(snapshot)

        changes = snapshot.run(change)
        snapshot.run(lambda: (variable.set(object()), changes.apply()))

    @merge_back
    async def set_other() -> None:
        other.set(value)
        await asyncio.sleep(0)

    @merge_back
    async def set_and_fail() -> None:
        other.set(value)
        fail()

    async def in_tasks() -> None:
        await asyncio.gather(*[set_other() for _ in range(BATCH)])

    async def collect() -> None:
        _, changes = await run_collecting(in_tasks)
        changes.apply()

    async def set_and_fail_often() -> None:
        await asyncio.gather(*[set_and_fail() for _ in range(BATCH)], return_exceptions=True)

    def submit() -> None:
        for future in [pool.submit(other.set, value) for _ in range(BATCH)]:
            future.result()
        list(pool.map(other.set, [value] * BATCH))

    def start_threads() -> None:
        threads = [ContextThread(target=other.set, args=(value,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def patch() -> None:
        with ctxvars.propagate_to_threads():
            pass

    workloads = [
        Workload("changes applied", bring_back, 200_000),
        Workload("changes refused", fails(ctxvars.MergeConflict, refuse), 200_000),
        Workload("merge_back, collected", lambda: asyncio.run(collect()), 100_000, BATCH),
        Workload("merge_back, fails", lambda: asyncio.run(set_and_fail_often()), 100_000, BATCH),
        Workload("submit, map", submit, 100_000, 2 * BATCH),
        Workload("submit fails", fails(TypeError, pool.submit, value)),
        Workload("context threads", start_threads, 10_000, 10),
        Workload("threads patched", patch, 100_000),
        Workload("log records", lambda: capture.filter(logging.makeLogRecord({})), 200_000),
    ]
    shared: Shared = {
        "the value": value,
        "a variable": variable,
        "another variable": other,
        "a context": context,
        "a snapshot": snapshot,
    }
    # The values that they set must not stay in the context of the measuring function.
    run = context.copy().run
    return [replace(each, operation=partial(run, each.operation)) for each in workloads], shared
