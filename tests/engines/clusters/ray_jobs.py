"""Functions and classes that `test_ray` makes remote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import ray

from tests.engines.jobs import Seen, fail, private, see_and_set, seen, tenant


def each_seen(count: int) -> Iterator[Seen]:
    for _ in range(count):
        yield see_and_set()


def nested() -> list[Seen]:
    """Call a task and an actor in a task, which has set variables."""
    see, sees = ray.remote(seen), ray.remote(Sees)
    first = ray.get(see.remote())
    tenant.set("of the task")
    actor = sees.remote()
    return [first, ray.get(see.remote()), ray.get(actor.created_with.remote()), *called(actor)]


def called(actor: Any) -> list[Seen]:
    """Call an actor in a task that got its handle."""
    return [ray.get(actor.see.remote())]


def see_then_fail_once(directory: str) -> Seen:
    found = see_and_set()
    try:
        open(f"{directory}/failed", "x").close()
    except FileExistsError:
        return found
    raise OSError("try again")


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let Ray call `remote` with one more argument."""

    def decorator(invocation: Callable[..., Any]) -> Callable[..., Any]:
        return lambda args, kwargs: invocation([*args, "of the decorator"], kwargs)

    function.__ray_invocation_decorator__ = decorator  # type: ignore[attr-defined]
    return function


@decorated
def seen_with(*args: str, **options: str) -> tuple[tuple[str, ...], dict[str, str], Seen]:
    return args, options, seen()


class Sees:
    """An actor with methods that return what they see."""

    def __init__(self) -> None:
        self.created = see_and_set()

    def created_with(self) -> Seen:
        return self.created

    def see(self) -> Seen:
        return see_and_set()

    def see_by_another_method(self) -> tuple[Seen, Seen]:
        tenant.set("of the method")
        return self.see(), seen()

    def each_seen(self, count: int) -> Iterator[Seen]:
        yield from each_seen(count)

    def fail(self) -> None:
        fail()

    @staticmethod
    def doubled(number: int) -> int:
        return 2 * number

    @ray.method(num_returns=2)
    def seen_twice(self) -> tuple[Seen, Seen]:
        return seen(), seen()


class SeesToo(Sees):
    """A class that inherits its constructor."""

    def see(self) -> Seen:
        return super().see()


class SeesAsync:
    """An asynchronous actor."""

    def __init__(self) -> None:
        self.both_started = asyncio.Event()
        self.started = 0

    async def see(self) -> Seen:
        """Wait until two calls run, and return what this one sees."""
        found = see_and_set(), private.get(None)
        self.started += 1
        if self.started == 2:
            self.both_started.set()
        await self.both_started.wait()
        assert tenant.get() == "left behind"
        assert found[1] == "left behind"
        return found[0]

    async def each_seen(self, count: int) -> AsyncIterator[Seen]:
        for _ in range(count):
            await asyncio.sleep(0)
            yield see_and_set()


class Threads:
    """An actor whose calls run in threads."""

    def see(self) -> Seen:
        return see_and_set()
