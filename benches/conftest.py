"""Prints, after the benchmarks, each operation's ratio to the standard library and its bar."""

from __future__ import annotations

import platform
import sysconfig
from statistics import median, quantiles
from typing import Any

import pytest


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    benchmarks: list[Any] = config._benchmarksession.benchmarks  # type: ignore[attr-defined]
    write = terminalreporter.write_line
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimised = "with" if "--enable-optimizations" in flags else "without"
    write("")
    write(f"CPython {platform.python_version()}, configured {optimised} --enable-optimizations")
    write("ns per operation (medians), and the quartiles of the ratios of paired rounds")
    write(
        f"{'operation':32}{'contextvars':>12}{'ctxvars':>9}{'25%':>8}{'ratio':>8}{'75%':>8}   bar"
    )
    for bench in benchmarks:
        stdlib, count = (bench.extra_info[key] for key in ("stdlib", "operations"))
        ours = bench.stats.data
        low, ratio, high = quantiles([a / b for a, b in zip(ours, stdlib, strict=True)], n=4)
        times = f"{median(stdlib) / count * 1e9:12.1f}{median(ours) / count * 1e9:9.1f}"
        bar = bench.extra_info["bar"]
        verdict = "" if ratio <= bar else "  missed"
        write(f"{bench.param:32}{times}{low:8.2f}{ratio:8.2f}{high:8.2f}{bar:6.2f}{verdict}")
