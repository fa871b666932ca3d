"""The stack says under which boundary code runs: with the real libraries that call it."""

from __future__ import annotations

import _thread
import asyncio
import multiprocessing
import queue
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import ctxvars
from ctxvars._diagnosis.boundaries import RULES, LiveFrame, boundary_of, current_boundary
from ctxvars._diagnosis.remedies import BOUNDARIES
from tests.support.loops import Loop, loop_named

pytestmark = pytest.mark.filterwarnings(
    # Other tests leave threads behind, which a fork does not copy.
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

FORK = multiprocessing.get_context("fork")
OF_NEW_THREAD = "copied_thread" if getattr(sys.flags, "thread_inherit_context", 0) else "thread"


def name(**options: Any) -> str | None:
    boundary = current_boundary(sys._getframe(1), **options)
    return boundary and boundary.name


async def name_async() -> str | None:
    return name()


def on_a_thread(start: Callable[[Callable[[], None]], object]) -> str | None:
    found: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    start(lambda: found.put(name()))
    return found.get(timeout=60)


def test_the_main_thread_is_not_under_a_boundary() -> None:
    assert name() is None


class TestThreads:
    def test_a_thread(self) -> None:
        assert on_a_thread(lambda it: threading.Thread(target=it).start()) == OF_NEW_THREAD

    def test_a_subclass_of_thread(self) -> None:
        assert on_a_thread(lambda it: threading.Timer(0, it).start()) == OF_NEW_THREAD

    def test_a_thread_with_a_context(self) -> None:
        start = ctxvars.ContextThread.start
        assert on_a_thread(lambda it: start(ctxvars.ContextThread(target=it))) == "copied_thread"

    def test_a_thread_that_had_values_at_its_start(self) -> None:
        found = []
        thread = threading.Thread(target=lambda: found.append(name(inherited=True)))
        thread.start()
        thread.join()
        assert found == ["copied_thread"]

    def test_a_thread_that_was_not_started_by_threading(self) -> None:
        assert on_a_thread(lambda it: _thread.start_new_thread(it, ())) == "foreign_thread"

    def test_a_pool(self) -> None:
        with ThreadPoolExecutor() as pool:
            assert pool.submit(name).result() == "pool"

    def test_the_initializer_of_a_pool(self) -> None:
        found = []
        with ThreadPoolExecutor(1, initializer=lambda: found.append(name())) as pool:
            pool.submit(int).result()
        assert found == ["pool"]

    def test_a_pool_that_carries_the_context(self) -> None:
        with ctxvars.ContextThreadPoolExecutor() as pool:
            assert pool.submit(name).result() == "copied_call"

    def test_the_pool_of_multiprocessing(self) -> None:
        with ThreadPool(1) as pool:
            assert pool.apply(name) == "thread_pool"


class TestProcesses:
    @pytest.mark.slow
    def test_a_process_that_starts_a_new_interpreter(self) -> None:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            assert pool.submit(name).result(60) == "process_pool"

    def test_a_pool_of_processes(self) -> None:
        with ProcessPoolExecutor(1, mp_context=FORK) as pool:
            assert pool.submit(name).result(60) == "process_pool"

    def test_the_pool_of_multiprocessing(self) -> None:
        with FORK.Pool(1) as pool:
            assert pool.apply(name) == "process_pool"

    def test_a_pool_that_carries_portable_values(self) -> None:
        for merge_back in (False, True):
            with ctxvars.ContextProcessPoolExecutor(1, FORK, merge_back=merge_back) as pool:
                assert pool.submit(name).result(60) == "portable_values"

    def test_a_process(self) -> None:
        assert name_in(FORK.Process) == "process"

    def test_a_process_that_carries_portable_values(self) -> None:
        assert name_in(ctxvars.ContextProcess) == "portable_values"

    def test_a_thread_in_a_process_is_a_thread(self) -> None:
        with ProcessPoolExecutor(1, mp_context=FORK) as pool:
            assert pool.submit(name_on_a_thread).result(60) == OF_NEW_THREAD


def name_in(make: Callable[..., Any]) -> str | None:
    reader, writer = multiprocessing.Pipe(duplex=False)
    process = make(target=send_name, args=(writer,))
    process.start()
    process.join(60)
    found: str | None = reader.recv()
    return found


def send_name(writer: Any) -> None:
    writer.send(name())


def name_on_a_thread() -> str | None:
    return on_a_thread(lambda it: threading.Thread(target=it).start())


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Loop:
    return loop_named(request.param)


def run(loop: Loop, function: Callable[[], Any]) -> Any:
    result = []

    async def main() -> None:
        result.append(await function())

    loop.run(main())
    return result[0]


class TestLoops:
    def test_the_main_task(self, loop: Loop) -> None:
        assert run(loop, name_async) == "task"

    def test_a_task(self, loop: Loop) -> None:
        async def main() -> str | None:
            return await asyncio.create_task(name_async())

        assert run(loop, main) == "task"

    def test_a_function_called_by_a_task(self, loop: Loop) -> None:
        async def main() -> str | None:
            await asyncio.sleep(0)
            return name()

        assert run(loop, main) == "task"

    @pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe"])
    def test_a_callback(self, loop: Loop, method: str) -> None:
        async def main() -> str | None:
            found = asyncio.get_running_loop().create_future()
            schedule = getattr(asyncio.get_running_loop(), method)
            schedule(lambda: found.set_result(name()))
            return await found

        assert run(loop, main) == "callback"

    def test_a_timer(self, loop: Loop) -> None:
        async def main() -> str | None:
            found = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0, lambda: found.set_result(name()))
            return await found

        assert run(loop, main) == "callback"

    def test_a_callback_of_a_future(self, loop: Loop) -> None:
        async def main() -> list[str | None]:
            found = []
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda _: found.append(name()))
            future.set_result(None)
            await asyncio.sleep(0)
            return found

        assert run(loop, main) == ["callback"]

    def test_an_executor(self, loop: Loop) -> None:
        async def main() -> list[str | None]:
            running = asyncio.get_running_loop()
            return [
                await running.run_in_executor(None, name),
                await ctxvars.run_in_executor(running, None, name),
            ]

        assert run(loop, main) == ["pool", "copied_call"]

    def test_a_call_that_carries_the_context(self, loop: Loop) -> None:
        async def main() -> str | None:
            return await asyncio.to_thread(name, inherited=True)

        expected = "pool" if OF_NEW_THREAD == "copied_thread" else "copied_call"
        assert run(loop, main) == expected

    def test_an_async_generator_that_is_iterated_by_its_task(self, loop: Loop) -> None:
        async def main() -> str | None:
            return await anext(names())

        assert run(loop, main) == "task"

    def test_an_async_generator_that_the_loop_closes_when_it_is_dropped(self, loop: Loop) -> None:
        found: list[str | None] = []

        async def main() -> None:
            await anext(names(found))
            for _ in range(5):
                await asyncio.sleep(0)

        run(loop, main)
        assert found == ["closed_generator"]

    def test_an_async_generator_that_the_loop_closes_at_its_end(self, loop: Loop) -> None:
        found: list[str | None] = []
        kept = names(found)

        async def main() -> None:
            await anext(kept)

        run(loop, main)
        assert found == ["closed_generator"]

    def test_an_async_generator_that_another_task_steps(self, loop: Loop) -> None:
        async def main() -> str | None:
            step: Any = anext(names())
            return await asyncio.ensure_future(step)

        assert run(loop, main) == "closed_generator"


async def names(closed: list[str | None] | None = None) -> AsyncIterator[str | None]:
    try:
        yield name()
    finally:
        if closed is not None:
            closed.append(name())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_an_eager_task() -> None:
    async def main() -> str | None:
        factory: Any = asyncio.eager_task_factory  # type: ignore[attr-defined]
        asyncio.get_running_loop().set_task_factory(factory)
        return await asyncio.create_task(name_async())

    assert asyncio.run(main()) == "task"


def test_a_task_that_is_written_in_python() -> None:
    async def main() -> str | None:
        tasks: Any = asyncio.tasks
        return await tasks._PyTask(name_async())

    assert asyncio.run(main()) == "task"


def test_tasks_and_threads_of_trio() -> None:
    trio = pytest.importorskip("trio")

    async def main() -> list[str | None]:
        return [name(), await trio.to_thread.run_sync(name)]

    assert trio.run(main) == ["task", "sync_call"]


def test_threads_of_anyio() -> None:
    anyio = pytest.importorskip("anyio")

    async def main() -> str | None:
        return await anyio.to_thread.run_sync(name)

    assert anyio.run(main) == "sync_call"
    assert anyio.run(main, backend="trio") == "sync_call"


def test_asgiref() -> None:
    sync = pytest.importorskip("asgiref.sync")

    async def main() -> str | None:
        return await sync.sync_to_async(name)()

    assert asyncio.run(main()) == "copied_call"
    assert sync.async_to_sync(name_async)() == "task"


class TestFrameworks:
    """FastAPI, or Starlette below it."""

    def test_sync_and_async_endpoints_and_dependencies(self) -> None:
        fastapi = pytest.importorskip("fastapi")
        found = {}

        def sync_dependency() -> Iterator[None]:
            found["sync dependency"] = name()
            yield
            found["end of sync dependency"] = name()

        async def dependency() -> None:
            found["dependency"] = name()

        app = fastapi.FastAPI()
        dependencies = [fastapi.Depends(sync_dependency), fastapi.Depends(dependency)]

        @app.get("/async", dependencies=dependencies)
        async def endpoint() -> None:
            found["endpoint"] = name()

        @app.get("/sync")
        def sync_endpoint() -> None:
            found["sync endpoint"] = name()

        request(app, "/async")
        request(app, "/sync")
        assert found == {
            "sync dependency": "sync_call",
            "dependency": "task",
            "endpoint": "task",
            "end of sync dependency": "sync_call",
            "sync endpoint": "sync_call",
        }

    def test_code_after_the_response(self) -> None:
        pytest.importorskip("starlette")
        from starlette.applications import Starlette
        from starlette.background import BackgroundTask
        from starlette.responses import PlainTextResponse, StreamingResponse
        from starlette.routing import Route

        found = {}

        async def background() -> None:
            found["background"] = name()

        def sync_background() -> None:
            found["sync background"] = name()

        async def rows() -> AsyncIterator[str]:
            found["body"] = name()
            yield "row"

        async def one(_: object) -> PlainTextResponse:
            return PlainTextResponse("", background=BackgroundTask(background))

        async def two(_: object) -> StreamingResponse:
            return StreamingResponse(rows(), background=BackgroundTask(sync_background))

        app = Starlette(routes=[Route("/one", one), Route("/two", two)])
        request(app, "/one")
        request(app, "/two")
        assert found == {
            "background": "background",
            "body": "streaming",
            "sync background": "sync_call",
        }

    def test_the_base_of_middlewares(self) -> None:
        pytest.importorskip("starlette")
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.base import BaseHTTPMiddleware
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        found = {}

        async def endpoint(_: object) -> PlainTextResponse:
            found["endpoint"] = name()
            return PlainTextResponse("")

        class Log(BaseHTTPMiddleware):
            async def dispatch(self, request: Any, call_next: Any) -> Any:
                found["middleware"] = name()
                return await call_next(request)

        app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(Log)])
        request(app, "/")
        assert found == {"middleware": "task", "endpoint": "base_http_middleware"}


def request(app: Any, path: str) -> Any:
    httpx = pytest.importorskip("httpx")

    async def get() -> Any:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(get())


class TestRecordedStacks:
    """Stacks of a file have no code objects, and no current task."""

    LOOP = LiveFrame("/usr/lib/python3.13/asyncio/events.py", "Handle._run", "function")

    @pytest.mark.parametrize(
        ("makes", "in_task", "expected"),
        [
            ("coroutine", None, "task"),
            ("async generator", None, "closed_generator"),
            ("function", False, "callback"),
            ("function", True, "task"),
        ],
    )
    def test_the_loop_steps_a_task_or_calls_a_function(
        self, makes: Any, in_task: bool | None, expected: str
    ) -> None:
        boundary = boundary_of([LiveFrame("app.py", "main", makes), self.LOOP], in_task=in_task)
        assert boundary is BOUNDARIES[expected]

    def test_a_task_is_known_without_its_loop(self) -> None:
        found = boundary_of([LiveFrame("app.py", "main", "function")], in_task=True)
        assert found is BOUNDARIES["task"]

    def test_functions_of_the_program_are_not_boundaries(self) -> None:
        stack = [LiveFrame("/app/worker.py", "_worker", "function")]
        assert boundary_of(stack) is None


def functions_in(code: CodeType) -> Iterator[str]:
    yield code.co_qualname
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from functions_in(each)


@pytest.mark.parametrize(("file", "function", "_"), RULES)
def test_each_rule_names_a_function_that_exists(file: str, function: str, _: str) -> None:
    paths = [path for it in sys.path if (path := Path(it, file)).is_file()]
    if not paths:
        pytest.skip("the package is not installed, or does not support this Python")
    source = paths[0].read_text(encoding="utf-8")
    if "eager_task" in function and sys.version_info < (3, 12):
        pytest.skip("eager tasks are new in 3.12")
    assert function in {*functions_in(compile(source, file, "exec"))}


def test_each_rule_has_a_boundary() -> None:
    assert {boundary for _, _, boundary in RULES} <= {*BOUNDARIES, "loop", "pool_worker"}
