"""OpenTelemetry's SDK: the parents of recorded spans, and values that travel with a trace."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from ctxvars import ContextVar, portable
from tests.support.new_context import in_new_context

context_api: Any = pytest.importorskip("opentelemetry.context")
propagate: Any = pytest.importorskip("opentelemetry.propagate")
sdk: Any = pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is missing")
export: Any = pytest.importorskip("opentelemetry.sdk.trace.export")
in_memory: Any = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

from ctxvars.integrations import opentelemetry as integration  # noqa: E402

tenant = portable(ContextVar[str]("tenant"), "tests.engines.otel.tenant")


class Recording:
    """A tracer, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = in_memory.InMemorySpanExporter()
        provider = sdk.TracerProvider()
        provider.add_span_processor(export.SimpleSpanProcessor(self._exporter))
        self.span = provider.get_tracer("tests").start_as_current_span

    def parents(self) -> dict[str, str | None]:
        """Return the names of the parents of all ended spans, by the names of the spans."""
        spans = self._exporter.get_finished_spans()
        names = {it.context.span_id: it.name for it in spans}
        return {it.name: names[it.parent.span_id] if it.parent else None for it in spans}


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Recording:
    monkeypatch.setattr(context_api, "_RUNTIME_CONTEXT", integration.RuntimeContext())
    return Recording()


@pytest.fixture
def _installed() -> Iterator[None]:
    integration.install()
    yield
    integration.uninstall()


async def answer(recording: Recording) -> AsyncGenerator[str, None]:
    with recording.span("model"):
        yield "Hello"
        with recording.span("tool"):
            yield "world"


def test_a_span_after_an_abandoned_stream_has_the_right_parent(recording: Recording) -> None:
    async def main() -> None:
        with recording.span("request"):
            async for token in answer(recording):
                if token == "world":
                    break
            gc.collect()
            for _ in range(10):
                await asyncio.sleep(0)
            with recording.span("save"):
                pass
        with recording.span("next request"):
            pass

    in_new_context(asyncio.run, main())
    assert recording.parents() == {
        "tool": "model",
        "model": "request",
        "save": "request",
        "request": None,
        "next request": None,
    }


def test_a_task_of_a_stream_keeps_its_parent(recording: Recording) -> None:
    closed = asyncio.Event()

    async def background() -> None:
        await closed.wait()
        with recording.span("background"):
            pass

    async def main() -> None:
        with recording.span("request"):
            stream = answer(recording)
            await anext(stream)
            task = asyncio.create_task(background())
            await asyncio.create_task(stream.aclose())
            closed.set()
            await task
            with recording.span("save"):
                pass

    in_new_context(asyncio.run, main())
    assert recording.parents() == {
        "model": "request",
        "background": "model",
        "save": "request",
        "request": None,
    }


def test_streams_that_are_read_in_turn(recording: Recording) -> None:
    def stream(name: str) -> Iterator[None]:
        with recording.span(name):
            yield
            yield

    def main() -> None:
        with recording.span("request"):
            first, second = stream("first"), stream("second")
            next(first)
            next(second)
            first.close()
            with recording.span("in second"):
                pass
            second.close()
            with recording.span("save"):
                pass

    in_new_context(main)
    assert recording.parents() == {
        "first": "request",
        # It was started while the first one was current.
        "second": "first",
        "in second": "second",
        "save": "request",
        "request": None,
    }


@pytest.mark.usefixtures("_installed")
def test_values_travel_with_a_trace(recording: Recording) -> None:
    headers: dict[str, str] = {}

    def client() -> None:
        with recording.span("client"), tenant.scope("globex"):
            propagate.inject(headers)

    def server() -> str:
        token = context_api.attach(propagate.extract(headers))
        try:
            with integration.received_in(), recording.span("server"):
                return tenant.get()
        finally:
            context_api.detach(token)

    in_new_context(client)
    assert headers.keys() == {"traceparent", "baggage"}
    assert in_new_context(server) == "globex"
    assert recording.parents() == {"client": None, "server": "client"}
