"""Prints, after the benchmarks, each operation's ratio to the standard library and its bar."""

from __future__ import annotations

import platform
import sysconfig
from typing import Any

import pytest


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    benchmarks: list[Any] = config._benchmarksession.benchmarks  # type: ignore[attr-defined]
    by_operation: dict[str, dict[str, Any]] = {}
    for bench in benchmarks:
        by_operation.setdefault(bench.group, {})[bench.extra_info["module"]] = bench
    write = terminalreporter.write_line
    write("")
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    pgo = "with" if "--enable-optimizations" in flags else "without"
    write(f"CPython {platform.python_version()}, built {pgo} PGO; ns per operation, median (IQR)")
    write(f"{'operation':34}{'contextvars':>18}{'ctxvars':>18}{'ratio':>8}{'bar':>8}")
    for operation, sides in by_operation.items():
        if len(sides) < 2:
            continue
        count, bar = (sides["ctxvars"].extra_info[key] for key in ("operations", "bar"))
        stdlib, ours = (sides[side].stats for side in ("contextvars", "ctxvars"))
        cells = [
            f"{stats.median / count * 1e9:10.1f} ({stats.iqr / count * 1e9:4.1f})"
            for stats in (stdlib, ours)
        ]
        ratio = ours.median / stdlib.median
        verdict = "" if ratio <= bar else "  missed"
        write(f"{operation:34}{cells[0]:>18}{cells[1]:>18}{ratio:8.2f}{bar:8.2f}{verdict}")
