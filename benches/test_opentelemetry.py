"""The runtime context for OpenTelemetry, against that of OpenTelemetry: `make bench`."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import Any

import pytest
from paired import OURS, Turn, measure, written_out
from report import Bar, Measurement

OTEL = "opentelemetry"
REPEATS = [None] * 1000
ATTACH_BAR = Bar(1.3, OTEL)
GET_BAR = Bar(1.1, OTEL)


def record(benchmark: Any, operation: str, code: str, names: dict[str, Any], bar: Bar) -> None:
    """Measure code with each of the runtime contexts, while two contexts are attached."""
    context_api = pytest.importorskip("opentelemetry.context")
    from ctxvars.integrations.opentelemetry import RuntimeContext

    def turn(runtime: Any) -> Turn:
        operate = written_out(code, names | {"runtime": runtime}, REPEATS)

        def attached() -> None:
            # The functions of OpenTelemetry use this one.
            context_api._RUNTIME_CONTEXT = runtime
            tokens = [runtime.attach(context_api.Context(number=it)) for it in range(2)]
            operate()
            for token in reversed(tokens):
                runtime.detach(token)

        return Turn(partial(contextvars.Context().run, attached), len(REPEATS))

    before = context_api._RUNTIME_CONTEXT
    turns = {OTEL: turn(context_api.ContextVarsRuntimeContext()), OURS: turn(RuntimeContext())}
    try:
        samples = measure(benchmark, lambda: turns)
    finally:
        context_api._RUNTIME_CONTEXT = before
    Measurement("opentelemetry", operation, samples, bars=[bar]).record(benchmark)


def test_attach_and_detach(benchmark: Any) -> None:
    context = pytest.importorskip("opentelemetry.context").Context(key="value")
    code = "runtime.detach(runtime.attach(context))"
    record(benchmark, "attach and detach", code, {"context": context}, ATTACH_BAR)


def test_get_current(benchmark: Any) -> None:
    record(benchmark, "get_current", "runtime.get_current()", {}, GET_BAR)


def test_get_current_span(benchmark: Any) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    names = {"get_current_span": trace.get_current_span}
    record(benchmark, "get_current_span", "get_current_span()", names, GET_BAR)


def test_use_span(benchmark: Any) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    span = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False))
    code = "\n".join(["with use_span(span):", "                pass"])
    names = {"use_span": trace.use_span, "span": span}
    record(benchmark, "with use_span(span)", code, names, ATTACH_BAR)
