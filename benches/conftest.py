"""Shows how far the benchmarks are and, after them, the table of what they measured."""

from __future__ import annotations

import importlib.util
import platform
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import report
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PROGRESS = pytest.StashKey[Progress]()


DISTRIBUTIONS = {"ctxvars": "ctxvars", "immutables": "immutables", "rpds": "rpds-py"}
"""The distribution of each contender."""


def conditions() -> dict[str, Any]:
    """The interpreter with the flags that matter, the hardware, and who is measured."""
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    # Debian builds its Python with PGO, which its configuration does not show.
    is_debian = sys.base_prefix == "/usr" and Path("/etc/debian_version").exists()
    optimised = "with" if is_debian or "--enable-optimizations" in flags else "without"
    return {
        "interpreter": f"CPython {platform.python_version()} {optimised} PGO",
        "hardware": f"{platform.system()} {platform.machine()}",
        "versions": {
            name: version(package)
            for name, package in DISTRIBUTIONS.items()
            # Those of contextvars need no other package.
            if importlib.util.find_spec(name)
        },
    }


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    machine_info.update(conditions())
    processor = machine_info["cpu"].get("brand_raw") or "an unknown processor"
    machine_info["hardware"] += f", {machine_info['cpu']['count']} cores of {processor}"


def pytest_collection_finish(session: pytest.Session) -> None:
    # Only the end of a benchmark redraws the bar: a thread that redraws it would disturb the
    # measurement.
    progress = Progress(
        TextColumn("{task.description:36}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(file=sys.__stderr__),
        auto_refresh=False,
        transient=True,
    )
    progress.add_task("", total=len(session.items))
    session.config.stash[PROGRESS] = progress


def _name(item: pytest.Item) -> str:
    return item.callspec.id if hasattr(item, "callspec") else item.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    progress = item.config.stash[PROGRESS]
    [task] = progress.task_ids
    progress.start()
    progress.update(task, description=_name(item), refresh=True)
    try:
        return (yield)
    finally:
        progress.update(task, advance=1, refresh=True)
        if progress.finished:
            progress.stop()


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Print no dots for passed tests: the progress bar is enough."""
    return (report.outcome, "", "") if report.passed and report.when == "call" else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    benchmarks: list[Any] = config._benchmarksession.benchmarks  # type: ignore[attr-defined]
    # A fixed width: wrapped tables are not readable.
    console = Console(width=160, highlight=False)
    machine = conditions()
    console.print(f"\n{report.conditions(machine, machine['versions'])}")
    console.print("medians, and the quartiles of the ratios of paired rounds")
    measurements = [report.Measurement.of(bench.extra_info) for bench in benchmarks]
    for suite, of_suite in report.suites(measurements).items():
        head, rows = report.table(of_suite)
        table = Table(title=suite, title_justify="left", box=None, pad_edge=False)
        for index, name in enumerate(head):
            table.add_column(name, justify="right" if index else "left", no_wrap=True)
        for row in rows:
            # As texts, since the brackets in them are Python's and not markup.
            table.add_row(*map(Text, row))
        console.print(table)
