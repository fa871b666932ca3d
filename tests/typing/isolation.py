"""Uses of isolation and snapshots that type checkers must accept.

`mypy --strict` and pyright check this file, and Python imports it, so the declarations match the
behaviour.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, assert_type

import ctxvars
from ctxvars import ContextVar, Map, Snapshot, bind, isolated, snapshot

user = ContextVar("user", default="nobody")


@isolated
def greet(name: str, *, mark: str = "!") -> str:
    user.set(name)
    return user.get() + mark


@isolated(inherit="live")
def numbers(count: int) -> Iterator[int]:
    yield from range(count)


@isolated()
async def answer(text: str) -> int:
    return len(text)


@isolated
async def stream(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def echo() -> Generator[int, str, bool]:
    return (yield 1) == "yes"


async def async_echo() -> AsyncGenerator[int, str]:
    yield len((yield 1))


class Greeter:
    @isolated
    def greet(self, name: str) -> str:
        return name

    @isolated(inherit="once")
    async def answer(self) -> int:
        return 42

    @classmethod
    @isolated
    def make(cls) -> Greeter:
        return cls()

    @staticmethod
    @isolated
    def double(number: int) -> int:
        return 2 * number


def functions() -> None:
    assert_type(greet("Ada", mark="?"), str)
    assert_type(list(numbers(3)), list[int])
    assert_type(Greeter().greet("Ada"), str)
    assert_type(Greeter.make(), Greeter)
    assert_type(Greeter.double(1), int)


def bodies() -> None:
    generator = isolated(echo())
    assert_type(generator, Generator[int, str, bool])
    assert_type(next(generator), int)
    generator.close()
    assert_type(isolated(async_echo(), inherit="live"), AsyncGenerator[int, str])


async def awaited() -> None:
    assert_type(await answer("Ada"), int)
    assert_type([number async for number in stream(2)], list[int])
    assert_type(await Greeter().answer(), int)
    coroutine = isolated(answer("Bob"))
    assert_type(await coroutine, int)


def snapshots() -> None:
    taken = snapshot()
    assert_type(taken, Snapshot)
    assert_type(taken.run(greet, "Ada", mark="?"), str)
    assert_type(taken.bind(greet)("Ada"), str)
    assert_type(list(bind(numbers)(2)), list[int])
    assert_type(taken.bindings, Map[ContextVar[Any], Any])


def mistakes() -> None:
    """Mistakes that checkers must report: strict checking reports ignores that are not needed."""
    greet(1)  # type: ignore[arg-type]
    isolated(1)  # type: ignore[call-overload]
    isolated(greet, inherit="lively")  # type: ignore[call-overload]
    snapshot().run(greet)  # type: ignore[call-arg]
    ctxvars.bind(echo())  # type: ignore[type-var]


if __name__ == "__main__":
    for example in (functions, bodies, snapshots):
        example()
    asyncio.run(awaited())
