"""Stores the measurements of `make bench`, and writes pages, charts and tables from stored results.

export PYTHONPATH=benches
python -m publishing.publish .benchmarks/latest.json    # store, then write
python -m publishing.publish                            # write again, from stored results
python -m publishing.publish --check                    # list texts that disagree with them
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from report import Measurement, conditions, suites
from report import contenders as measured_contenders

from publishing.excerpts import fill_in
from publishing.results import Result, Stored, load_all, table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "benchmarks"
RESULTS = DOCS / "results"
TURNS = """\
The contenders take turns, round by round. Times are medians. The ratio is the median, between the
quartiles, of the ratios of the rounds.
"""
OPENTELEMETRY_NOTE = """\
Two contexts are attached. `get_current_span` and `use_span` are functions of OpenTelemetry, which
call the runtime context.
"""
MAP_NOTE = """\
Keys are strings unless the operation says otherwise. They are equal to the stored keys but not
identical with them, and their hashes are cached. A `dict` is copied, and the copy is modified. The
time includes freeing what an operation makes. `immutables` and `dict` have neither `diff` nor
`merge`: theirs are loops in Python. Memory is that of the map without its keys and values, as
tracemalloc reports it. tracemalloc does not see the memory of rpds.
"""
RUST_MAP_NOTE = """\
Every map hashes with the same function (foldhash) and has numbers as values. Times are processor
times. Of each round the median counts, and the medians of the rounds are shown. The ratio is the
median, between the quartiles, of the ratios of the rounds to the best peer. Keys are looked up in
random order. String keys are equal to the stored keys but not identical with them. The time
includes freeing what an operation makes. Maps of fewer than 1,000 entries are measured with five
sets of keys; the median set counts. `std` is the `HashMap` of the standard library: it is copied,
and the copy is modified, and it counts as a peer for nothing else. Operations that take seconds are
left out: `rpds` building the largest map, and `im` comparing two of them.

Memory is that of a map from u64 to u64 with its keys and values: the bytes that were requested, and
the bytes that malloc reserved. Instructions are counted by valgrind, with u64 keys, and hardly
differ from run to run.
"""
RUST_CONTEXT_NOTE = """\
Times are the medians of the rounds. The ratio is the median, between the quartiles, of the ratios
of the rounds to the best peer. The size is the number of variables that have a value.
"""
UNITS = {"s": "Times", "instr.": "Instructions", "B": "Memory", "": "Allocations"}
"""The heading of the table for each unit, on pages that have a table for each."""


class Publication(NamedTuple):
    """A page of docs/benchmarks."""

    name: str
    title: str
    note: str
    command: str = "make bench"
    by_unit: bool = False
    """Whether the page has a table for each unit."""
    charts: tuple[str, ...] = ()


PUBLICATIONS = {
    "contextvars": Publication(
        "contextvars", "ctxvars against contextvars", TURNS, charts=("contextvars",)
    ),
    "import": Publication(
        "import",
        "A process that imports ctxvars, against one that imports contextvars",
        f"{TURNS}The times are CPU times of whole processes.\n",
    ),
    "isolation": Publication(
        "isolation", "isolated against the bare original, and a wrapper in Python", TURNS
    ),
    "changes": Publication(
        "changes", "Changes that come back, against a loop over contextvars", TURNS
    ),
    "portable": Publication(
        "portable",
        "Portable variables against OpenTelemetry's baggage and a plain process pool",
        f"{TURNS}The times are those of the clock.\n",
    ),
    "opentelemetry": Publication(
        "opentelemetry",
        "The runtime context for OpenTelemetry, against that of OpenTelemetry",
        f"{TURNS}{OPENTELEMETRY_NOTE}",
    ),
    "recording": Publication(
        "recording", "Variables during a recording, against the same without one", TURNS
    ),
    "map": Publication(
        "map",
        "ctxvars.Map against immutables, rpds and dict",
        f"{TURNS}\n{MAP_NOTE}",
        charts=("map-lookups", "map-derived", "map-whole", "map-memory"),
    ),
    "set": Publication("set", "ctxvars.Set against rpds.HashTrieSet and frozenset", TURNS),
    "nested": Publication(
        "nested",
        "Nested access in ctxvars.Map against pyrsistent",
        f"{TURNS}\nThree levels of ten keys each.\n",
    ),
    "flooding": Publication(
        "flooding",
        "Chosen keys whose hashes collide, against ordinary keys",
        """\
The keys of ctxvars and `dict` are chosen so that their hashes collide: in the half that a map
compares first, or wholly. The contenders take turns, round by round. Times are for each key.
""",
    ),
    "classes": Publication(
        "classes",
        "`build_class` against the interpreter's `__build_class__`",
        f"{TURNS}The time is that of a class statement and everything that it runs.\n",
    ),
    "rust-map": Publication(
        "rust-map",
        "HashTrieMap against imbl, rpds and im",
        RUST_MAP_NOTE,
        "make bench-rust",
        by_unit=True,
        charts=("rust-map-lookups", "rust-map-derived", "rust-map-whole", "rust-map-memory"),
    ),
    "rust-context": Publication(
        "rust-context",
        "Context variables in Rust",
        RUST_CONTEXT_NOTE,
        "make bench-rust",
        by_unit=True,
        charts=("rust-context",),
    ),
}


def tables(publication: Publication, results: Sequence[Result], depth: int) -> str:
    if not publication.by_unit:
        return table(results).markdown()
    return "\n".join(
        f"{'#' * depth} {heading}\n\n{table(below).markdown()}"
        for unit, heading in UNITS.items()
        if (below := [each for each in results if each.unit == unit])
    )


def page(publication: Publication, stored: Sequence[Stored]) -> str:
    """The text of a page: a section for each environment, if there are several."""
    pictures = "".join(f"![{name}](charts/{name}.svg)\n\n" for name in publication.charts)
    several = len(stored) > 1
    sections = [
        (f"## {each.environment}\n\n" if several else "")
        + f"{each.caption}.\n\n"
        + tables(publication, each.results, 3 if several else 2)
        for each in stored
    ]
    generated = f"<!-- Generated by `{publication.command}` from results/; edits get lost. -->"
    below = "\n".join(sections)
    return f"{generated}\n# {publication.title}\n\n{publication.note}\n{pictures}{below}"


def index(found: Mapping[str, Sequence[Stored]]) -> str:
    """The text of the page that lists the others."""
    shown = [PUBLICATIONS[suite] for suite in PUBLICATIONS if suite in found]
    rows = "\n".join(f"- [{each.title}]({each.name}.md)" for each in shown)
    names = "\n".join(each.name for each in shown)
    return f"""\
<!-- Generated by `make bench`; edits get lost. -->
# Benchmarks

Each number on these pages, and in all other documents, comes from `results/` beside them.
`make bench` and `make bench-rust` store it there, one file for each interpreter.

{rows}

A ratio below 1 means that ctxvars is faster, or needs less memory.

:::{{toctree}}
:hidden:

{names}
:::
"""


def texts(root: Path = ROOT) -> dict[Path, str]:
    """All generated text, by file. Documents without an outdated excerpt are left out."""
    docs = root / "docs" / "benchmarks"
    found = load_all(docs / "results")
    written = {docs / "index.md": index(found)}
    for suite, stored in found.items():
        publication = PUBLICATIONS[suite]
        written[docs / f"{publication.name}.md"] = page(publication, stored)
    for document in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        before = written.get(document) or document.read_text(encoding="utf-8")
        if (after := fill_in(before, found)) != before:
            written[document] = after
    return written


def draw(found: Mapping[str, Sequence[Stored]], suite: str, form: str) -> None:
    """Draw the charts of a suite, of the environment that comes first."""
    import publishing.rust_charts  # noqa: F401 - it adds to CHARTS
    from publishing.charts import CHARTS

    # Without a date in it, the same results make the same file.
    metadata = {"Date": None, "Creator": None} if form == "svg" else None
    first = found[suite][0]
    charts = DOCS / "charts"
    charts.mkdir(exist_ok=True)
    for name, chart in CHARTS.get(suite, {}).items():
        figure = chart(first.results, first.caption)
        figure.savefig(charts / f"{name}.{form}", metadata=metadata)


def write(changed: Sequence[str], form: str = "svg") -> None:
    """Write the charts of the suites that have changed, and all texts."""
    found = load_all(RESULTS)
    for suite in changed:
        draw(found, suite, form)
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")


def environment(machine: Mapping[str, str]) -> str:
    """ "CPython 3.11" of "CPython 3.11.7 without PGO", or "CPython 3.11 with PGO"."""
    name, version, *build = machine["interpreter"].split(" ", 2)
    minor = ".".join(version.split(".")[:2])
    return " ".join([name, minor, *build])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("measured", type=Path, nargs="?", help="what --benchmark-json wrote")
    parser.add_argument("--format", default="svg", help="of the charts")
    parser.add_argument("--check", action="store_true", help="only list texts that are outdated")
    options = parser.parse_args()
    if options.check:
        outdated = [path for path, text in texts().items() if text != path.read_text("utf-8")]
        for path in outdated:
            print(f"{path.relative_to(ROOT)} disagrees with docs/benchmarks/results")
        sys.exit(bool(outdated))
    changed = list(load_all(RESULTS))
    if options.measured:
        measured = json.loads(options.measured.read_text(encoding="utf-8"))
        machine = measured["machine_info"]
        found = suites(Measurement.of(bench["extra_info"]) for bench in measured["benchmarks"])
        for suite, measurements in found.items():
            caption = conditions(machine, measured_contenders(measurements))
            results = [Result.of(each) for each in measurements]
            Stored(suite, environment(machine), caption, results).save(RESULTS)
        changed = list(found)
    write(changed, options.format)


if __name__ == "__main__":
    main()
