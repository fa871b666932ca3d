"""`merge_back` of a generator function: FastAPI's sync dependencies with `yield`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, Token, merge_back, run_collecting

USER: ContextVar[str] = ContextVar("user", default="nobody")
SEEN: ContextVar[str] = ContextVar("seen", default="nothing")
EVENTS: list[Any] = []


@pytest.fixture(autouse=True)
def _no_events() -> None:
    EVENTS.clear()


@merge_back
def log_in(name: str) -> Generator[str, Any, None]:
    EVENTS.append(threading.current_thread() is threading.main_thread())
    token = USER.set(name)
    try:
        sent = yield f"session of {name}"
        EVENTS.append((USER.get(), SEEN.get(), sent))
    finally:
        USER.reset(token)
        EVENTS.append(threading.current_thread() is threading.main_thread())


managed: Callable[[str], contextlib.AbstractAsyncContextManager[str]]
managed = contextlib.asynccontextmanager(log_in)


def run(main: Callable[[], Any]) -> Any:
    return ctxvars.Context().run(asyncio.run, main())


def test_a_caller_sees_what_each_step_sets() -> None:
    async def main() -> None:
        async with managed("Ada") as session:
            assert (session, USER.get()) == ("session of Ada", "Ada")
            SEEN.set("set by the caller")
        assert (USER.get(), SEEN.get()) == ("nobody", "set by the caller")

    run(main)
    assert EVENTS == [False, ("Ada", "set by the caller", None), False]


def test_the_token_of_the_generator_resets_a_value_set_by_the_caller() -> None:
    async def main() -> None:
        USER.set("before")
        async with managed("Ada"):
            USER.set("set by the caller")
        assert USER.get() == "before"

    run(main)
    assert EVENTS[1][0] == "set by the caller"


def test_an_error_of_the_block_reaches_the_generator() -> None:
    @contextlib.asynccontextmanager
    @merge_back
    def handling() -> Generator[None, None, None]:
        USER.set("inside")
        try:
            yield
        except ZeroDivisionError:
            USER.set("handled")

    async def main() -> None:
        async with handling():
            _ = 1 / 0
        assert USER.get() == "handled"
        with pytest.raises(KeyError):
            async with handling():
                raise KeyError
        assert USER.get() == "inside"
        with pytest.raises(ZeroDivisionError):
            async with managed("Ada"):
                _ = 1 / 0
        assert USER.get() == "inside"

    run(main)


def test_an_error_of_the_generator_reaches_the_caller_with_what_it_set() -> None:
    @merge_back
    def failing() -> Generator[int, None, None]:
        USER.set("first")
        yield 1
        USER.set("second")
        raise ZeroDivisionError

    async def main() -> None:
        it = failing()
        assert await anext(it) == 1
        assert USER.get() == "first"
        with pytest.raises(ZeroDivisionError):
            await anext(it)
        assert USER.get() == "second"
        with pytest.raises(StopAsyncIteration):
            await anext(it)

    run(main)


def test_sending_throwing_and_closing() -> None:
    async def main() -> None:
        it = log_in("Ada")
        assert await anext(it) == "session of Ada"
        with pytest.raises(StopAsyncIteration):
            await it.asend("sent")
        assert USER.get() == "nobody"
        it = log_in("Grace")
        await anext(it)
        await it.aclose()
        assert USER.get() == "nobody"

        @merge_back
        def stubborn() -> Generator[None, None, None]:
            try:
                yield
            finally:
                yield

        stubborn_one = stubborn()
        await anext(stubborn_one)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            await stubborn_one.aclose()

    run(main)
    assert ("Ada", "nothing", "sent") in EVENTS


def test_a_cancelled_block_ends_the_generator() -> None:
    async def work() -> None:
        async with managed("Ada"):
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(work())
        while not EVENTS:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
    assert EVENTS[-1] is False
    assert len(EVENTS) == 2


def test_a_block_is_cancelled_on_trio() -> None:
    trio = pytest.importorskip("trio")

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with managed("Ada"):
                assert USER.get() == "Ada"
                scope.cancel()
                await trio.sleep(60)
        assert scope.cancelled_caught

    ctxvars.Context().run(trio.run, main)
    # The last step cannot run on a thread any more.
    assert EVENTS[-1] in (True, False)
    assert len(EVENTS) == 2


def test_changes_are_posted_to_what_collects_them() -> None:
    async def framework() -> str:
        async def in_a_task() -> str:
            async with managed("Ada"):
                SEEN.set("lost: it is not set by the generator")
                return USER.get()

        @merge_back
        def set_for_good() -> Generator[None, None, None]:
            USER.set("set for good")
            yield

        async def use() -> None:
            async with contextlib.asynccontextmanager(set_for_good)():
                pass

        seen = await asyncio.create_task(in_a_task())
        await asyncio.create_task(use())
        return seen

    async def main() -> None:
        result, changes = await run_collecting(framework)
        assert result == "Ada"
        assert {change.key: change.new for change in changes} == {USER: "set for good"}

    run(main)


def test_resolve_decides_what_stays() -> None:
    def ours(variable: object, base: object, ours: object, theirs: object) -> object:
        EVENTS.append((base, ours, theirs))
        return ours

    release = threading.Event()

    @merge_back(resolve=ours)
    def waiting() -> Generator[None, None, None]:
        USER.set("of the generator")
        release.wait()
        yield

    async def main() -> None:
        async def set_meanwhile() -> None:
            USER.set("of the caller")
            release.set()

        it = waiting()
        step = asyncio.ensure_future(anext(it))  # type: ignore[arg-type]
        await asyncio.gather(step, set_meanwhile())
        await it.aclose()

    run(main)


def test_it_looks_like_an_async_generator_function() -> None:
    assert inspect.isasyncgenfunction(log_in)
    assert inspect.unwrap(log_in) is log_in
    assert log_in.__name__ == "log_in"
    assert inspect.signature(log_in).parameters["name"].annotation is str

    @merge_back
    def unresolved(it: Unknown) -> Generator[None, None, None]:  # type: ignore[name-defined]  # noqa: F821
        yield

    assert inspect.signature(unresolved).parameters["it"].annotation == "Unknown"


def test_an_async_generator_function_is_refused() -> None:
    async def sets_for_its_caller() -> Any:
        yield

    message = "must not be an async generator function, got .*: it sets variables for the code"
    with pytest.raises(TypeError, match=message):
        merge_back(sets_for_its_caller)


def test_wrong_arguments_are_refused_by_the_function() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            await anext(log_in())  # type: ignore[call-arg]

    run(main)


def test_fastapi_makes_the_steps_for_its_request() -> None:
    fastapi = pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    app = fastapi.FastAPI()

    @merge_back
    def dependency(name: str) -> Iterator[str]:
        token: Token[str] = USER.set(name)
        yield name
        EVENTS.append(("seen at the end", USER.get(), SEEN.get()))
        USER.reset(token)
        EVENTS.append(USER.get())

    @app.get("/async")
    async def in_the_loop(name: str = fastapi.Depends(dependency)) -> list[str]:
        SEEN.set("set by the endpoint")
        return [name, USER.get()]

    @app.get("/sync")
    def on_a_thread(name: str = fastapi.Depends(dependency)) -> list[str]:
        return [name, USER.get()]

    @app.get("/fails")
    async def fails(name: str = fastapi.Depends(dependency)) -> list[str]:
        raise fastapi.HTTPException(418)

    async def main() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for path in ("/async", "/sync"):
                assert (await client.get(f"{path}?name=Ada")).json() == ["Ada", "Ada"]
            assert (await client.get("/fails?name=Ada")).status_code == 418

    run(main)
    assert EVENTS[:2] == [("seen at the end", "Ada", "set by the endpoint"), "nobody"]
    assert (
        EVENTS[2:4] == EVENTS[:2]
    )  # The requests share a task, so the second one has the value of the first.
