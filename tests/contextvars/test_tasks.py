"""Tasks and event loops of every kind carry our variables.

Each test runs on the loop of asyncio and on uvloop, with each kind of task that asyncio has.
"""

import asyncio
import contextvars as native
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import pytest

import ctxvars
from ctxvars import Context, ContextVar

user: ContextVar[str] = ContextVar("user", default="nobody")


def python_task(loop: asyncio.AbstractEventLoop, coro: Any, **keywords: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.tasks._PyTask(coro, loop=loop, **keywords)  # type: ignore[attr-defined]
    return task


EAGER: Any = getattr(asyncio, "eager_task_factory", None)
# `None` stands for the default of asyncio, tasks implemented in C.
FACTORIES = [
    pytest.param(None, id="C"),
    pytest.param(python_task, id="Python"),
    pytest.param(
        EAGER,
        id="eager",
        marks=pytest.mark.skipif(EAGER is None, reason="eager tasks came with 3.12"),
    ),
]

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_name(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def run(loop_name: str) -> Run:
    """Return a function that runs a coroutine on the loop, in a new context."""
    module = pytest.importorskip(loop_name, reason="it has no release for this Python")

    def run(coro: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
            native.Context().run(runner.run, coro)

    return run


@pytest.fixture(params=FACTORIES)
def run_tasks(request: pytest.FixtureRequest, loop_name: str, run: Run) -> Run:
    """Return a function that runs a coroutine on the loop, with tasks of one kind."""
    factory = request.param
    if factory is EAGER and loop_name == "uvloop" and sys.version_info >= (3, 13):
        parameters = inspect.signature(factory).parameters
        if "eager_start" not in parameters:
            pytest.skip("uvloop passes an argument that came with a later 3.13")

    def run_tasks(coro: Coroutine[Any, Any, None]) -> None:
        async def main() -> None:
            asyncio.get_running_loop().set_task_factory(factory)
            await coro

        run(main())

    return run_tasks


async def change(value: str) -> str:
    """Set the variable, let other tasks run, check the variable, and return its old value."""
    before = user.get()
    user.set(value)
    await asyncio.sleep(0)
    assert user.get() == value
    return before


def test_task_runs_in_our_context(run_tasks: Run) -> None:
    async def main() -> None:
        context = Context()
        context.run(user.set, "Ada")
        task = ctxvars.create_task(change("Bob"), context=context, name="greeter")
        assert task.get_name() == "greeter"
        assert await task == "Ada"
        assert context[user] == "Bob"
        assert user.get() == "nobody"

    run_tasks(main())


def test_task_runs_in_a_native_context(run_tasks: Run) -> None:
    async def main() -> None:
        context = native.Context()
        context.run(user.set, "Ada")
        assert await ctxvars.create_task(change("Bob"), context=context) == "Ada"
        assert Context.wrap(context)[user] == "Bob"

    run_tasks(main())


@pytest.mark.parametrize("create_task", [ctxvars.create_task, asyncio.create_task])
def test_task_runs_in_a_copy(run_tasks: Run, create_task: Any) -> None:
    async def main() -> None:
        user.set("main")
        task = create_task(change("child"))
        assert user.get() == "main"
        assert await task == "main"
        assert user.get() == "main"

    run_tasks(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Task.get_context came with 3.12")
def test_context_of_a_task(run_tasks: Run) -> None:
    async def main() -> None:
        context = Context()
        task = ctxvars.create_task(change("Bob"), context=context)
        await task
        assert task.get_context() is context.native  # type: ignore[attr-defined,unused-ignore]
        wrapped = Context.wrap(task.get_context())  # type: ignore[attr-defined,unused-ignore]
        assert wrapped == context
        wrapped.run(user.set, "Eve")
        assert context[user] == "Eve"

    run_tasks(main())


@pytest.mark.parametrize("wrong", [1, {}, Context, native.copy_context], ids=repr)
def test_an_object_that_is_not_a_context_is_refused(run: Run, wrong: Any) -> None:
    async def main() -> None:
        coro = change("unused")
        with pytest.raises(TypeError, match=r"must be a contextvars\.Context, got "):
            ctxvars.create_task(coro, context=wrong)
        coro.close()

    run(main())


@pytest.mark.parametrize("context", [None, Context()], ids=["current", "ours"])
def test_an_object_that_is_not_a_coroutine_is_refused(run: Run, context: Context | None) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="a coroutine was expected, got 1"):
            ctxvars.create_task(1, context=context)  # type: ignore[arg-type]

    run(main())


@pytest.mark.parametrize(
    "create_task",
    [
        asyncio.create_task,
        ctxvars.create_task,
        partial(ctxvars.create_task, context=Context()),
        partial(ctxvars.create_task, context=native.Context()),
    ],
)
def test_without_a_running_loop(create_task: Any) -> None:
    coro = change("unused")
    with pytest.raises(RuntimeError, match=r"^no running event loop$"):
        create_task(coro)
    # As with asyncio, the caller has to close the coroutine.
    coro.close()


def test_task_group_and_gather_isolate(run_tasks: Run) -> None:
    async def main() -> None:
        user.set("main")
        names = [f"user {index}" for index in range(20)]
        assert await asyncio.gather(*map(change, names)) == ["main"] * 20
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(change(name)) for name in names]
        assert [task.result() for task in tasks] == ["main"] * 20
        assert user.get() == "main"

    run_tasks(main())


def test_task_group_takes_the_native_context(run_tasks: Run) -> None:
    async def main() -> None:
        context = Context()
        async with asyncio.TaskGroup() as group:
            group.create_task(change("Bob"), context=context.native)
        assert context[user] == "Bob"

    run_tasks(main())


def test_runner_takes_the_native_context(loop_name: str) -> None:
    module = pytest.importorskip(loop_name, reason="it has no release for this Python")
    context = Context()
    context.run(user.set, "Ada")
    with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
        assert runner.run(change("Bob"), context=context.native) == "Ada"
    assert context[user] == "Bob"


def test_callbacks_run_in_the_context_that_scheduled_them(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = Context()
        context.run(user.set, "Ada")
        user.set("main")
        seen: list[str] = []

        def note() -> None:
            seen.append(user.get())
            user.set("changed by a callback")

        loop.call_soon(note)
        loop.call_soon(note, context=context.native)
        loop.call_soon_threadsafe(note, context=context.native)
        done = loop.create_future()
        loop.call_later(0, done.set_result, None)
        done.add_done_callback(lambda _: note(), context=context.native)
        await done
        await asyncio.sleep(0)
        changed = "changed by a callback"
        assert seen == ["main", "Ada", changed, changed]
        assert user.get() == "main"

    run(main())


def test_to_thread_copies_the_context_and_an_executor_does_not(run: Run) -> None:
    async def main() -> None:
        user.set("main")
        token = await asyncio.to_thread(user.set, "thread")
        assert token.old_value == "main"
        assert user.get() == "main"
        with pytest.raises(ValueError, match="was created in a different Context"):
            user.reset(token)
        # An executor does not copy contexts. Its thread, started above, may have inherited one.
        loop = asyncio.get_running_loop()
        inherits = getattr(sys.flags, "thread_inherit_context", False)
        assert await loop.run_in_executor(None, user.get) == ("main" if inherits else "nobody")
        context = ctxvars.copy_context()
        assert await loop.run_in_executor(None, context.run, user.get) == "main"

    run(main())


def test_async_generator_runs_in_the_context_of_its_caller(run: Run) -> None:
    async def users() -> AsyncIterator[str]:
        yield user.get()
        await asyncio.sleep(0)
        user.set("generator")
        yield user.get()

    async def main() -> None:
        user.set("main")
        generator = users()
        assert await anext(generator) == "main"
        # PEP 568 was not accepted: values that a generator sets are visible to its caller.
        assert await anext(generator) == "generator"
        assert user.get() == "generator"
        assert [name async for name in generator] == []

    run(main())


def test_token_across_await(run_tasks: Run) -> None:
    async def use() -> None:
        with user.set("Ada"):
            await asyncio.sleep(0)
            assert user.get() == "Ada"
            await ctxvars.create_task(change("Bob"))
            assert user.get() == "Ada"
        assert user.get() == "main"

    async def main() -> None:
        user.set("main")
        await asyncio.gather(use(), use())

    run_tasks(main())
