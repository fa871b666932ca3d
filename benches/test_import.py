"""New processes that import ctxvars, the standard library's contextvars, or nothing.

The times are those of whole processes, because an import also makes the start and the end of a
process longer: it maps libraries, and leaves objects to be freed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from paired import OURS, Turn, measure
from report import Bar, Measurement

STDLIB = "contextvars"
BARE = "no import"
PROGRAMS = {STDLIB: "import contextvars", BARE: "pass", OURS: "import ctxvars"}
MOST_SECONDS = 0.003
"""How much longer a process may take because of the import."""

# The first process writes the bytecode, as the installation of a package does.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


def children_time() -> float:
    """The CPU time of all processes that this process has started and waited for."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(benchmark: Any) -> dict[str, list[float]]:
    turns = {
        name: Turn(
            partial(subprocess.run, [sys.executable, "-c", program], env=ENVIRONMENT, check=True), 1
        )
        for name, program in PROGRAMS.items()
    }
    return measure(benchmark, lambda: turns, children_time)


def test_process(benchmark: Any) -> None:
    Measurement(
        suite="import",
        operation="a process",
        samples=measured(benchmark),
        reference=STDLIB,
    ).record(benchmark)


def test_import(benchmark: Any) -> None:
    samples = measured(benchmark)
    pairs = zip(samples[OURS], samples[BARE], strict=True)
    Measurement(
        suite="import",
        operation="a process, less a process without an import",
        samples={OURS: [ours - bare for ours, bare in pairs]},
        bars=[Bar(MOST_SECONDS, None)],
    ).record(benchmark)
