"""Portable variables against OpenTelemetry's baggage, and against a plain pool of processes."""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any
from uuid import UUID

import pytest
from paired import OURS, Turn, measure, written_out
from report import Bar, Measurement

import ctxvars
from ctxvars import ContextVar, portable

OTEL = "opentelemetry"
PLAIN = "concurrent.futures"
REPEATS = [None] * 500
JOBS = 100

VALUES: dict[ContextVar[Any], Any] = {
    portable(ContextVar("tenant"), "bench.tenant"): "globex",
    portable(ContextVar("user"), "bench.user"): "ada@example.com",
    portable(ContextVar("request"), "bench.request", codec=UUID): UUID(int=1 << 100),
    portable(ContextVar("depth"), "bench.depth", codec=int): 3,
    portable(ContextVar("debug"), "bench.debug", codec=bool): False,
}


def in_values(call: Any) -> Any:
    with ctxvars.scope(VALUES):
        return call()


def record(benchmark: Any, operation: str, turns: dict[str, Turn], bars: list[Bar]) -> None:
    peer = next(name for name in turns if name != OURS)
    samples = measure(benchmark, lambda: turns, perf_counter)
    Measurement("portable", operation, samples, bars=bars, reference=peer).record(benchmark)


def test_inject(benchmark: Any) -> None:
    propagation = pytest.importorskip("opentelemetry.baggage.propagation")
    propagator = propagation.W3CBaggagePropagator()
    context = propagator.extract(in_values(ctxvars.inject))
    ours = written_out("inject({})", {"inject": ctxvars.inject}, REPEATS)
    theirs = written_out(
        "inject({}, context)", {"inject": propagator.inject, "context": context}, REPEATS
    )
    turns = {
        OTEL: Turn(theirs, len(REPEATS)),
        OURS: Turn(partial(in_values, ours), len(REPEATS)),
    }
    record(benchmark, "inject 5 variables", turns, [Bar(5e-6, None)])


def test_extract(benchmark: Any) -> None:
    propagation = pytest.importorskip("opentelemetry.baggage.propagation")
    propagator = propagation.W3CBaggagePropagator()
    headers = in_values(ctxvars.inject)
    code = "\n".join(["with extract(headers):", "                pass"])
    ours = written_out(code, {"extract": ctxvars.extract, "headers": headers}, REPEATS)
    theirs = written_out(
        "extract(headers)", {"extract": propagator.extract, "headers": headers}, REPEATS
    )
    turns = {OTEL: Turn(theirs, len(REPEATS)), OURS: Turn(ours, len(REPEATS))}
    record(benchmark, "extract 5 variables", turns, [Bar(8e-6, None)])


def run_jobs(pool: Executor) -> None:
    for _ in range(JOBS):
        pool.submit(abs, -1).result()


def test_process_pool(benchmark: Any) -> None:
    with ProcessPoolExecutor(1) as plain, ctxvars.ContextProcessPoolExecutor(1) as ours:
        turns = {
            PLAIN: Turn(partial(in_values, partial(run_jobs, plain)), JOBS),
            OURS: Turn(partial(in_values, partial(run_jobs, ours)), JOBS),
        }
        record(benchmark, "a job of a process pool", turns, [Bar(1.1, PLAIN)])
