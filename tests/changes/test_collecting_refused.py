"""`run_collecting` refuses awaitables that have a context already."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import ContextVar, merge_back, run_collecting

USER: ContextVar[str] = ContextVar("user", default="nobody")


async def work() -> str:
    USER.set("Ada")
    return "done"


def task() -> Any:
    return asyncio.get_running_loop().create_task(work())


def gathered() -> Any:
    return asyncio.gather(work(), work())


def on_thread() -> Any:
    return asyncio.get_running_loop().run_in_executor(None, USER.set, "Ada")


@pytest.mark.parametrize("make", [task, gathered, on_thread])
def test_a_task_or_future_is_refused_with_the_call_that_works(make: Callable[[], Any]) -> None:
    async def main() -> None:
        it = make()
        with pytest.raises(TypeError, match=r"must not be a task or future, got <.*run_coll") as e:
            await run_collecting(it)
        assert "run_collecting(work())" in str(e.value)
        assert "run_collecting(lambda: asyncio.gather(work()))" in str(e.value)
        await it

    asyncio.run(main())


def test_a_future_of_a_thread_is_refused() -> None:
    with pytest.raises(TypeError, match="must be callable or awaitable"):
        asyncio.run(run_collecting(concurrent.futures.Future()))  # type: ignore[arg-type]


def test_the_calls_of_the_message_work() -> None:
    @merge_back
    async def merging() -> str:
        return await work()

    async def main() -> list[Any]:
        found: list[Any] = []
        for call in (work(), work, lambda: asyncio.gather(merging(), merging())):
            result, changes = await run_collecting(call)
            found.append((result, [change.new for change in changes]))
            assert USER.get() == "nobody"
        return found

    assert asyncio.run(main()) == [
        ("done", ["Ada"]),
        ("done", ["Ada"]),
        (["done", "done"], ["Ada"]),
    ]
