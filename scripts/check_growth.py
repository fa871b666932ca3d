"""Repeats operations of ctxvars up to ten million times, and shows whether memory grows.

    python -m scripts.check_growth [--scale 0.01] [--only "set, reset"] [--module contextvars]

The exit status is 1 if anything grows. tests/support/memory/growth.py says how
memory is measured; the other files of that folder have what is repeated.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from types import ModuleType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import ctxvars
from tests.support.memory.contexts import Shared, context_workloads, map_workloads
from tests.support.memory.groups import group_workloads
from tests.support.memory.growth import REFERENCES, ROUNDS, Growth, Workload, measure
from tests.support.memory.isolation import isolation_workloads
from tests.support.memory.propagation import propagation_workloads

MEBIBYTE = 1 << 20
CAPTION = (
    "Added per million: growth in the second half of {rounds} equal rounds. Blocks are those of "
    "CPython's allocator, malloc bytes those of the C library. Objects are those that the "
    "collector tracks. References are those to the shared object whose count changed most. "
    "Resident: pages in memory before and after all rounds."
)


def suites_on(module: ModuleType) -> list[tuple[list[Workload], Shared]]:
    """Return workloads on the context variables of a module, and all others for ctxvars."""
    suites = [context_workloads(module)]
    if module is ctxvars:
        suites += [
            map_workloads(),
            isolation_workloads(),
            propagation_workloads(),
            group_workloads(),
        ]
    return suites


def measured(suites: list[tuple[list[Workload], Shared]], scale: float) -> list[Growth]:
    """Measure all workloads, with progress on a terminal."""
    found = []
    # A drawing thread would allocate memory at any time, so progress is drawn between workloads.
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=sum(len(workloads) for workloads, _ in suites))
        for workloads, shared in suites:
            for workload in workloads:
                progress.update(task, description=workload.name, refresh=True)
                found.append(measure(workload, shared, scale))
                progress.advance(task)
    return found


def row_of(growth: Growth) -> list[str]:
    references = [name for name in growth.after if name.startswith(REFERENCES)]
    most_changed = max(references, key=lambda name: abs(growth.added(name)))
    amounts = ("blocks", "malloc", "objects", most_changed)
    resident = [amounts.get("resident", 0) for amounts in (growth.before, growth.after)]
    return [
        growth.workload.name,
        f"{growth.times:,}",
        f"{growth.seconds / growth.times * 1e9:,.0f}",
        *(f"{growth.per_million(name):,.0f}" if name in growth.after else "" for name in amounts),
        " to ".join(f"{size / MEBIBYTE:.1f}" for size in resident),
        f"grows: {', '.join(growth.leaks)}" if growth.leaks else "flat",
    ]


def table_of(found: list[Growth]) -> Table:
    table = Table(title="Memory", caption=CAPTION.format(rounds=ROUNDS), show_edge=False)
    table.add_column("workload")
    for title in ("times", "ns each", "blocks", "malloc bytes", "objects", "references"):
        table.add_column(title, justify="right")
    table.add_column("resident MiB", justify="right")
    table.add_column("verdict")
    for growth in found:
        table.add_row(*row_of(growth), style="red" if growth.leaks else None)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the repetitions to make")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument(
        "--module",
        choices=["ctxvars", "contextvars"],
        default="ctxvars",
        help="whose context variables to use; maps are those of ctxvars",
    )
    arguments = parser.parse_args()
    start = time.monotonic()
    suites = [
        ([workload for workload in workloads if arguments.only in workload.name], shared)
        for workloads, shared in suites_on(importlib.import_module(arguments.module))
    ]
    found = measured(suites, arguments.scale)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table_of(found))
    growing = [growth.workload.name for growth in found if growth.leaks]
    done = f"{len(found)} workloads in {time.monotonic() - start:.0f} s on {sys.version.split()[0]}"
    console.print(f"{done}: " + (f"memory grows in {', '.join(growing)}" if growing else "flat"))
    return 1 if growing or not found else 0


if __name__ == "__main__":
    sys.exit(main())
