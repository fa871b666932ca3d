"""Stores the measurements of `make bench-rust`, and writes pages and charts from stored results.

PYTHONPATH=benches python -m publishing.publish_rust target
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import cpuinfo  # type: ignore[import-untyped]
from report import contenders, suites

from publishing.publish import RESULTS, ROOT, write
from publishing.results import Result, Stored
from publishing.rust_results import measurements

LOCK = ROOT / "Cargo.lock"


def conditions(names: Sequence[str]) -> str:
    """The compiler, the machine and the versions of the contenders, in a line."""
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    compiler_version = " ".join(compiler.stdout.split()[:2])
    packages = tomllib.loads(LOCK.read_text(encoding="utf-8"))["package"]
    versions = {package["name"]: package["version"] for package in packages}
    processor = cpuinfo.get_cpu_info().get("brand_raw", "an unknown processor")
    hardware = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores of {processor}"
    # tokio::task_local belongs to the package tokio; std belongs to none.
    shown = [f"{name} {versions.get(name.partition('::')[0], '')}".rstrip() for name in names]
    return f"{compiler_version}; {hardware}; {', '.join(shown)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("target", type=Path, help="the target folder of cargo")
    parser.add_argument("--format", default="svg", help="of the charts")
    options = parser.parse_args()
    found = suites(measurements(options.target))
    for suite, measured in found.items():
        results = [Result.of(each) for each in measured]
        caption = conditions(contenders(measured))
        Stored(f"rust-{suite}", "rustc", caption, results).save(RESULTS)
    write([f"rust-{suite}" for suite in found], options.format)


if __name__ == "__main__":
    main()
