"""OpenTelemetry's "Failed to detach context" occurs without isolation, and not with isolation.

A span that is current in a generator is detached where the generator ends. This may happen in the
context of the event loop, of another task or of another thread.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

from ctxvars import isolated
from tests.support.loops import Loop, loop_named

trace: Any = pytest.importorskip(
    "opentelemetry.trace", reason="opentelemetry-api is not installed for this Python"
)

SPAN = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False))


def bare(body: Any) -> Any:
    return body


WRAPS = [
    pytest.param(bare, True, id="without"),
    pytest.param(isolated, False, id="isolated"),
]


@pytest.fixture
def failures(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return a function that returns the messages of this kind so far."""
    caplog.set_level(logging.ERROR, "opentelemetry")
    return lambda: [it.message for it in caplog.records if "Failed to detach" in it.message]


def is_in_span() -> bool:
    return trace.get_current_span() is SPAN


def stream() -> Iterator[str]:
    """Yield tokens, as a language model does, while the span is current."""
    with trace.use_span(SPAN):
        for token in ("Hello", "world", "!"):
            assert is_in_span()
            yield token
            assert is_in_span()


async def async_stream(turn: Callable[[], Any]) -> AsyncGenerator[str, None]:
    with trace.use_span(SPAN):
        for token in ("Hello", "world", "!"):
            await turn()
            yield token
            assert is_in_span()


@pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected")
@pytest.mark.parametrize(("wrap", "fails"), WRAPS)
def test_a_consumer_that_breaks(loop: Loop, failures: Any, wrap: Any, fails: bool) -> None:
    async def main() -> None:
        async for _ in wrap(async_stream)(loop.turn):
            assert is_in_span() is fails
            break
        gc.collect()
        for _ in range(10):
            await loop.turn()

    loop.run(main())
    assert bool(failures()) is fails


@pytest.mark.parametrize(("wrap", "fails"), WRAPS)
def test_a_loop_that_closes(loop: Loop, failures: Any, wrap: Any, fails: bool) -> None:
    streams = []

    async def main() -> None:
        streams.append(wrap(async_stream)(loop.turn))
        await anext(streams[0])

    loop.run(main())
    assert bool(failures()) is fails


@pytest.mark.parametrize(("wrap", "fails"), WRAPS)
@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_task_for_each_token(name: str, failures: Any, wrap: Any, fails: bool) -> None:
    """Before 3.12, `asyncio.wait_for(anext(...), ...)` creates such tasks."""
    loop = loop_named(name)

    async def main() -> None:
        streamed = wrap(async_stream)(loop.turn)

        async def token() -> str | None:
            return await anext(streamed, None)

        if fails:
            # The task of the second token is not in the span.
            assert await asyncio.create_task(token()) == "Hello"
            with pytest.raises(AssertionError):
                await asyncio.create_task(token())
        else:
            seen = [await asyncio.create_task(token()) for _ in range(4)]
            assert seen == ["Hello", "world", "!", None]

    loop.run(main())
    assert bool(failures()) is fails


@pytest.mark.parametrize(("wrap", "fails"), WRAPS)
def test_threads(failures: Any, wrap: Any, fails: bool) -> None:
    """One thread takes the first token, and another one closes the stream."""
    streamed = wrap(stream)()
    seen: list[Any] = []

    def take() -> None:
        seen.extend([next(streamed), is_in_span()])

    for target in (take, streamed.close):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert seen == ["Hello", fails]
    assert bool(failures()) is fails


@pytest.mark.parametrize(("wrap", "fails"), WRAPS)
def test_two_streams_in_turn(failures: Any, wrap: Any, fails: bool) -> None:
    """Without isolation, the end of the first stream makes an ended span current."""

    def run() -> None:
        first, second = wrap(stream)(), wrap(stream)()
        for each in (first, second):
            next(each)
        first.close()
        second.close()
        assert is_in_span() is fails

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failures() == []
