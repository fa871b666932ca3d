"""Operations on isolated bodies and snapshots, repeated to show that memory does not grow."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from functools import partial
from typing import Any

import ctxvars
from ctxvars import isolated, snapshot
from tests.support.gc.values import Value
from tests.support.isolation.loopless import Paused, drive
from tests.support.memory.contexts import (
    BATCH,
    MILLION,
    Shared,
    exhaust,
    fail,
    fails,
    weak_reference,
)
from tests.support.memory.growth import Workload


def isolation_workloads() -> tuple[list[Workload], Shared]:
    """Workloads on isolated bodies and functions, and on snapshots."""
    ours = ctxvars.ContextVar[Any]("ours")
    native = contextvars.ContextVar[Any]("native")
    value = Value()

    def generator() -> Iterator[object]:
        try:
            for _ in range(3):
                ours.set(value)
                native.set(value)
                yield value
        finally:
            ours.set(None)

    def failing() -> Iterator[object]:
        yield from generator()
        raise ZeroDivisionError

    async def coroutine() -> object:
        ours.set(value)
        await Paused()
        return value

    async def async_generator(pause: Callable[[], Awaitable[object]]) -> AsyncIterator[object]:
        try:
            for _ in range(3):
                ours.set(value)
                await pause()
                yield value
        finally:
            await pause()

    async def brief() -> AsyncIterator[object]:
        try:
            yield value
        finally:
            ours.set(None)

    async def consume(once: bool) -> None:
        async for _ in isolated(async_generator)(lambda: asyncio.sleep(0)):
            if once:
                break

    def batch_of_streams(once: bool) -> None:
        async def main() -> None:
            await asyncio.gather(*[consume(once) for _ in range(BATCH)])

        asyncio.run(main())

    one_kind, other_kind, live = isolated(generator), isolated(coroutine), isolated(inherit="live")
    step = live(generator)
    taken = snapshot()
    bound, bound_generator = taken.bind(fail), taken.bind(generator)

    def left() -> None:
        next(one_kind())

    def closed() -> None:
        body = one_kind()
        next(body)
        body.close()

    def cycles() -> None:
        for _ in range(BATCH):
            body = isolated(cyclic([]))
            next(body)
            body.send(body)
        gc.collect()

    def cyclic(members: list[object]) -> Generator[object, object, None]:
        members.append((yield value))
        yield value

    def async_steps() -> None:
        body = isolated(async_generator)(Paused)
        drive(body.__anext__())
        drive(body.asend(None))
        drive(body.aclose())

    def async_steps_left() -> None:
        drive(isolated(brief)().__anext__())

    def hooked() -> None:
        sys.set_asyncgen_hooks(firstiter=id, finalizer=id)
        body = isolated(async_generator)(Paused)
        drive(body.__anext__())
        del body
        sys.set_asyncgen_hooks(None, None)

    def live_steps() -> None:
        body = step()
        for each in (ours, native):
            token = each.set(value)
            next(body)
            each.reset(token)

    def never_awaited() -> None:
        other_kind().close()

    def attributes() -> None:
        body = one_kind()
        assert body.gi_frame is not None
        raises = fails(AttributeError, getattr, body, "missing")
        raises()
        repr(body)

    workloads = [
        Workload("isolated call", isolated(partial(int, 1)), 2 * MILLION),
        Workload("isolated call fails", fails(ZeroDivisionError, isolated(fail))),
        Workload("isolated generator", lambda: exhaust(one_kind())),
        Workload("isolated generator, left", left),
        Workload("isolated generator, closed", closed),
        Workload("isolated generator fails", fails(ZeroDivisionError, exhaust_isolated, failing)),
        Workload("isolated coroutine", lambda: drive(other_kind())),
        Workload("isolated coroutine, closed", never_awaited),
        Workload("isolated in cycles, collected", cycles, 200_000, per_call=BATCH),
        Workload("isolated async generator", async_steps, 200_000),
        Workload("isolated async generator, left", async_steps_left, 200_000),
        Workload("isolated async generator, hooked", hooked, 200_000),
        Workload("isolated streams", partial(batch_of_streams, False), 200_000, per_call=BATCH),
        Workload("isolated streams, left", partial(batch_of_streams, True), 200_000, BATCH),
        Workload("isolated live", live_steps, 200_000),
        Workload("isolated, attributes", attributes, 200_000),
        Workload("isolated, weak references", lambda: weak_reference(isolated(generator))),
        Workload("isolating fails", fails(TypeError, isolated, 1)),
        Workload("snapshot", snapshot),
        Workload("snapshot, run", lambda: taken.run(int), 2 * MILLION),
        Workload("snapshot, bound call fails", fails(ZeroDivisionError, bound)),
        Workload("snapshot, bound generator", lambda: exhaust(bound_generator())),
        Workload("bind", lambda: ctxvars.bind(fail), 200_000),
    ]
    shared: Shared = {
        "None": None,
        "the value": value,
        "a variable": ours,
        "a native variable": native,
        "a generator function": generator,
        "an isolated function": one_kind,
        "a snapshot": taken,
        "a class of proxies": type(one_kind()),
        "a class of isolated functions": type(one_kind),
        "contextvars.Context": contextvars.Context,
    }
    return workloads, shared


def exhaust_isolated(function: Callable[[], Iterator[object]]) -> None:
    exhaust(isolated(function)())
