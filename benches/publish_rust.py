"""Writes what `make bench-rust` measured, as tables and charts, into docs/benchmarks.

python benches/publish_rust.py target
"""

from __future__ import annotations

import os
import platform
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import cpuinfo  # type: ignore[import-untyped]
from charts import Chart, by_size, bytes_per_entry, dots
from matplotlib.figure import Figure
from publish import Publication, arguments
from report import Measurement, contenders, suites
from rust_results import BYTES, DERIVING, KINDS, LOOKUPS, MILLION, WHOLE, measurements

LOCK = Path(__file__).parent.parent / "Cargo.lock"
HEADINGS = {"s": "Times", "instr.": "Instructions", "B": "Memory", "": "Allocations"}
"""The table that shows what has a unit."""

MAP_NOTE = """\
Every map hashes with the same function (foldhash) and has numbers as values. Times are the
processor's, which do not go on while other programs run; of each round the median counts. Shown are
the medians of the rounds; the ratio is the median, beside the quartiles, of the ratios of the
rounds, to the best peer. Keys are looked up in random order; String keys are equal to the stored
ones but not identical with them. What an operation makes is dropped again within the time. `std`
is the `HashMap` of the standard library: it is copied, and the copy is modified, and it counts as a
peer for nothing else. What takes seconds is left out: `rpds` building the largest map, and `im`
comparing two of them.

Memory is that of a map from u64 to u64, keys and values included: what was asked for, and what
malloc makes of it. Instructions are those that valgrind counts, with u64 keys; they hardly
differ from run to run.
"""
CONTEXT_NOTE = """\
Times are the medians of the rounds; the ratio is the median, beside the quartiles, of the ratios of
the rounds, to the best peer. The size is the number of variables that have a value.
"""


def with_keys(*operations: str) -> list[str]:
    return [f"{operation}, {kind} keys" for kind in KINDS for operation in operations]


def whole_maps(found: Sequence[Measurement], caption: str) -> Figure:
    """What goes through a map, or would if it shared nothing."""
    operations = with_keys(*WHOLE)
    shown = [each for each in found if each.operation in operations and each.size == MILLION]
    return dots("Operations on whole maps of a million entries", shown, caption, 1e-7)


def memory(found: Sequence[Measurement], caption: str) -> Figure:
    shown = [each for each in found if each.operation == BYTES]
    return bytes_per_entry("Memory of a map from u64 to u64, all included", shown, caption)


def contexts(found: Sequence[Measurement], caption: str) -> Figure:
    return dots("Context variables, by the number of variables", found, caption, 1e-10)


MAP_CHARTS: dict[str, Chart] = {
    "rust-map-lookups": by_size("Lookups", with_keys(*LOOKUPS), 2),
    "rust-map-derived": by_size("Deriving a map by one change", with_keys(*DERIVING), 3),
    "rust-map-whole": whole_maps,
    "rust-map-memory": memory,
}
PUBLICATIONS = {
    "map": Publication(
        "rust-map", "HashTrieMap against imbl, rpds and im", MAP_NOTE, MAP_CHARTS, "make bench-rust"
    ),
    "context": Publication(
        "rust-context",
        "Context variables in Rust",
        CONTEXT_NOTE,
        {"rust-context": contexts},
        "make bench-rust",
    ),
}


def conditions(names: Sequence[str]) -> str:
    """The compiler, the machine and the versions of the contenders, in a line."""
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    compiler_version = " ".join(compiler.stdout.split()[:2])
    packages = tomllib.loads(LOCK.read_text())["package"]
    versions = {package["name"]: package["version"] for package in packages}
    processor = cpuinfo.get_cpu_info().get("brand_raw", "an unknown processor")
    hardware = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores of {processor}"
    # tokio::task_local is of tokio; std is of no package.
    shown = [f"{name} {versions.get(name.partition('::')[0], '')}".rstrip() for name in names]
    return f"{compiler_version}; {hardware}; {', '.join(shown)}"


def by_heading(found: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """The tables of a page."""
    return {
        heading: below
        for unit, heading in HEADINGS.items()
        if (below := [each for each in found if each.unit == unit])
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("target", type=Path, help="the target folder of cargo")
    options = parser.parse_args()
    for suite, found in suites(measurements(options.target)).items():
        publication = PUBLICATIONS[suite]
        caption = conditions(contenders(found))
        publication.write(by_heading(found), caption, options.folder, options.format)


if __name__ == "__main__":
    main()
