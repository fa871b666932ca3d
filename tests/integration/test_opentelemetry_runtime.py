"""OpenTelemetry on the runtime context of ctxvars: spans end where they have to, in each pattern.

Each test runs with both runtime contexts. With that of OpenTelemetry, it logs "Failed to detach
context", or the caller stays in an ended span. With that of ctxvars, neither happens, without a
change of the code. The patterns are those of opentelemetry-python#2606, google/adk-python#1670,
langfuse#13590 and openinference#1769.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tests.integration.entry_points import entry_points, install_entry_points
from tests.support.loops import LOOPS, Loop, loop_named
from tests.support.new_context import in_new_context

context_api: Any = pytest.importorskip(
    "opentelemetry.context", reason="opentelemetry-api is not installed for this Python"
)
trace: Any = pytest.importorskip("opentelemetry.trace")

from ctxvars.integrations.opentelemetry import RuntimeContext  # noqa: E402

RUNTIMES = {
    "opentelemetry": context_api.ContextVarsRuntimeContext,
    "ctxvars": RuntimeContext,
}


def span(number: int) -> Any:
    return trace.NonRecordingSpan(trace.SpanContext(number, number, is_remote=False))


OUTER, SPAN, INNER = span(1), span(2), span(3)


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a runtime context, and return its name."""
    monkeypatch.setattr(context_api, "_RUNTIME_CONTEXT", RUNTIMES[request.param]())
    name: str = request.param
    return name


@pytest.fixture
def failures(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """Return a function that counts the messages "Failed to detach context" so far."""
    caplog.set_level(logging.ERROR, "opentelemetry")
    return lambda: sum("Failed to detach" in it.message for it in caplog.records)


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    return loop_named(request.param)


@pytest.fixture
def check(runtime: str, failures: Callable[[], int]) -> Callable[[Any], None]:
    """Return a function that checks a program's last span, and what was logged."""

    def check(last: Any) -> None:
        is_ours = runtime == "ctxvars"
        assert (failures() == 0) is is_ours
        assert (last is OUTER) is is_ours

    return check


def current() -> Any:
    return trace.get_current_span()


async def stream(turn: Callable[[], Any]) -> AsyncGenerator[str, None]:
    """Yield tokens, as a language model does, while a span is current."""
    with trace.use_span(SPAN):
        for token in ("Hello", "world", "!"):
            await turn()
            yield token


def sync_stream() -> Iterator[str]:
    with trace.use_span(SPAN):
        yield from ("Hello", "world", "!")


def run(loop: Loop, body: Callable[[], Any]) -> Any:
    """Run a body in a span, in a task, and return the span that is current at its end."""
    seen = []

    async def main() -> None:
        with trace.use_span(OUTER):
            await body()
            seen.append(current())

    in_new_context(loop.run, main())
    return seen[0]


@pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected")
@pytest.mark.parametrize("exit", ["break", "return", "raise"])
def test_a_consumer_that_stops_early(loop: Loop, check: Any, exit: str) -> None:
    """The event loop closes the generator, in a task."""

    async def consume() -> None:
        async for _ in stream(loop.turn):
            match exit:
                case "break":
                    break
                case "return":
                    return
                case _:
                    raise ValueError

    async def body() -> None:
        with contextlib.suppress(ValueError):
            await consume()
        gc.collect()
        for _ in range(10):
            await loop.turn()

    check(run(loop, body))


def test_a_generator_that_another_task_closes(loop: Loop, check: Any) -> None:
    async def body() -> None:
        generator = stream(loop.turn)
        await anext(generator)
        await loop.together(generator.aclose)

    check(run(loop, body))


def test_aclosing_in_another_task(loop: Loop, check: Any) -> None:
    """The first item is fetched by the caller, the others and the end by a task."""

    async def body() -> None:
        generator = stream(loop.turn)
        await anext(generator)

        async def rest() -> None:
            async with contextlib.aclosing(generator) as stream:
                async for _ in stream:
                    pass

        await loop.together(rest)

    check(run(loop, body))


def test_a_nest_of_generators_that_another_task_closes(loop: Loop, check: Any) -> None:
    """The agent runs a model, and both have a span."""

    async def agent() -> AsyncGenerator[str, None]:
        with trace.use_span(INNER):
            async with contextlib.aclosing(stream(loop.turn)) as inner:
                async for token in inner:
                    yield token

    async def body() -> None:
        generator = agent()
        await anext(generator)
        await loop.together(generator.aclose)

    check(run(loop, body))


def test_a_timeout_around_a_step(runtime: str, failures: Any) -> None:
    """Before Python 3.12, `asyncio.wait_for` makes each step in a task."""

    async def never() -> None:
        await asyncio.Event().wait()

    async def body() -> None:
        generator = stream(never)
        step = asyncio.create_task(anext(generator))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        step.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await step

    assert run(loop_named("asyncio"), body) is OUTER
    assert failures() == 0


def test_tasks_keep_their_parent_span(loop: Loop, runtime: str) -> None:
    """A task was created in the span, and goes on after the span has ended elsewhere."""
    seen = []

    async def body() -> None:
        generator = stream(loop.turn)
        await anext(generator)

        async def close() -> None:
            await generator.aclose()

        async def child() -> None:
            for _ in range(10):
                await loop.turn()
                seen.append(current())
            with trace.use_span(INNER):
                seen.append(current())
            seen.append(current())

        await loop.together(child, close)
        assert current() is (OUTER if runtime == "ctxvars" else SPAN)

    run(loop, body)
    assert seen == [SPAN] * 10 + [INNER, SPAN]


def test_detaching_on_another_thread(check: Any) -> None:
    """A callback of an executor ends what the caller has begun."""

    def program() -> Any:
        with trace.use_span(OUTER):
            token = context_api.attach(trace.set_span_in_context(SPAN))
            with ThreadPoolExecutor(1) as pool:
                pool.submit(context_api.detach, token).result()
            return current()

    check(in_new_context(program))


def test_a_generator_that_another_thread_closes(check: Any) -> None:
    def program() -> Any:
        with trace.use_span(OUTER):
            generator = sync_stream()
            next(generator)
            thread = threading.Thread(target=generator.close)
            thread.start()
            thread.join()
            return current()

    check(in_new_context(program))


def test_a_cycle_that_is_collected_in_another_context(check: Any) -> None:
    """The reproducer of opentelemetry-python#2606, which depends on the garbage collector."""

    class Stream:
        def __iter__(self) -> Iterator[str]:
            self.iterator = sync_stream()
            yield from map(str, self.iterator)

    def program() -> Any:
        with trace.use_span(OUTER):
            streamed = Stream()
            streamed.itself = streamed  # type: ignore[attr-defined]
            next(iter(streamed))
            del streamed
            contextvars.Context().run(gc.collect)
            return current()

    check(in_new_context(program))


def test_a_fixture_that_ends_in_another_task(loop: Loop, check: Any) -> None:
    """pytest-asyncio and anyio set fixtures up in one task, and tear them down in another one."""

    @contextlib.asynccontextmanager
    async def fixture() -> AsyncGenerator[None, None]:
        with trace.use_span(SPAN):
            yield

    async def body() -> None:
        it = fixture()
        await it.__aenter__()

        async def tear_down() -> None:
            await it.__aexit__(None, None, None)

        await loop.together(tear_down)

    check(run(loop, body))


def test_spans_that_end_in_the_order_of_their_start(runtime: str) -> None:
    """Two streams are read in turn. With OpenTelemetry's, an ended span becomes current again."""

    def program() -> Any:
        with trace.use_span(OUTER):
            first, second = sync_stream(), sync_stream()
            next(first)
            next(second)
            first.close()
            assert current() is (SPAN if runtime == "ctxvars" else OUTER)
            second.close()
            return current()

    assert in_new_context(program) is (OUTER if runtime == "ctxvars" else SPAN)


def test_detaching_twice_is_harmless(runtime: str, failures: Any) -> None:
    def program() -> Any:
        with trace.use_span(OUTER):
            token = context_api.attach(trace.set_span_in_context(SPAN))
            context_api.detach(token)
            context_api.detach(token)
            return current()

    assert in_new_context(program) is OUTER
    assert (failures() == 0) is (runtime == "ctxvars")


def requested(app: Any, *, disconnect: bool = False) -> None:
    """Call an ASGI application as a server does: a task for each request."""

    async def main() -> None:
        received = iter([{"type": "http.request", "body": b"", "more_body": False}])
        gone = asyncio.Event()

        async def receive() -> Any:
            for message in received:
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if disconnect and message["type"] == "http.response.body":
                gone.set()
                await asyncio.sleep(0)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": "GET",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [],
        }
        await asyncio.create_task(app(scope, receive, send))

    in_new_context(asyncio.run, main())


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("disconnect", [False, True], ids=["to the end", "client goes away"])
def test_a_streaming_response(
    runtime: str, failures: Any, monkeypatch: pytest.MonkeyPatch, kind: str, disconnect: bool
) -> None:
    """Starlette streams in a task, or makes each step of a sync generator on a thread."""
    applications: Any = pytest.importorskip("starlette.applications")
    responses: Any = pytest.importorskip("starlette.responses")
    routing: Any = pytest.importorskip("starlette.routing")
    seen = []

    async def endpoint(request: Any) -> Any:
        content = stream(lambda: asyncio.sleep(0)) if kind == "async" else sync_stream()
        if kind == "async":
            # The endpoint reads the first token, to send an error instead of a stream.
            first = await anext(content)

            async def whole() -> AsyncGenerator[str, None]:
                yield first
                async with contextlib.aclosing(content) as rest:
                    async for token in rest:
                        yield token

            return responses.StreamingResponse(whole())
        return responses.StreamingResponse(content)

    app = applications.Starlette(routes=[routing.Route("/", endpoint)])

    async def traced(*arguments: Any) -> None:
        with trace.use_span(OUTER):
            await app(*arguments)
            gc.collect()
            for _ in range(10):
                await asyncio.sleep(0)
            seen.append(current())

    requested(traced, disconnect=disconnect)
    if runtime == "ctxvars":
        assert failures() == 0
        assert seen == [OUTER]
    elif not disconnect:
        assert failures() > 0


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_dependency_of_fastapi_with_yield(runtime: str, failures: Any, kind: str) -> None:
    """FastAPI makes each half of a sync dependency on a thread, in another copy of the context."""
    fastapi: Any = pytest.importorskip("fastapi", reason="fastapi is not installed")
    app = fastapi.FastAPI()
    seen = []

    async def dependency() -> AsyncGenerator[None, None]:
        with trace.use_span(SPAN):
            yield

    def sync_dependency() -> Iterator[None]:
        with trace.use_span(SPAN):
            yield

    depends = fastapi.Depends(dependency if kind == "async" else sync_dependency)

    @app.get("/", dependencies=[depends])
    async def endpoint() -> None:
        seen.append(current())

    async def traced(*arguments: Any) -> None:
        with trace.use_span(OUTER):
            await app(*arguments)
            seen.append(current())

    requested(traced)
    assert seen[-1] is OUTER
    if runtime == "ctxvars":
        assert failures() == 0
    elif kind == "sync":
        assert failures() > 0


def test_the_entry_point_is_the_runtime_context() -> None:
    [(name, value)] = entry_points("opentelemetry_context").items()
    assert name == "ctxvars"
    assert EntryPoint(name, value, "opentelemetry_context").load() is RuntimeContext


PROGRAM = """
import logging
logging.basicConfig()
from opentelemetry import context, propagate
print(type(context._RUNTIME_CONTEXT).__name__)
print(*[type(each).__name__ for each in propagate.get_global_textmap()._propagators])
token = context.attach(context.set_value("key", "value"))
assert context.get_value("key") == "value"
context.detach(token)
assert context.get_value("key") is None
from ctxvars.integrations.opentelemetry import RuntimeContext
assert type(context._RUNTIME_CONTEXT) is RuntimeContext
"""


@pytest.mark.parametrize("propagators", ["ctxvars", "baggage,ctxvars", "ctxvars,baggage"])
def test_the_environment_selects_both(tmp_path: Path, propagators: str) -> None:
    install_entry_points(tmp_path, "opentelemetry_context", "opentelemetry_propagator")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
        "OTEL_PYTHON_CONTEXT": "ctxvars",
        "OTEL_PROPAGATORS": f"tracecontext,{propagators}",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    names = {"ctxvars": "BaggagePropagator", "baggage": "W3CBaggagePropagator"}
    loaded = " ".join(names[each] for each in propagators.split(","))
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split("\n") == [
        "RuntimeContext",
        f"TraceContextTextMapPropagator {loaded}",
        "",
    ]
