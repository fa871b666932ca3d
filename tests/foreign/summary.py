"""What the comparisons came to, as a table and as the page docs/compatibility.md.

The page is made of docs/compatibility.json, which has the latest results of each minor version of
Python. Nothing in it depends on when or how fast the tests ran.
"""

from __future__ import annotations

import io
import json
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from endings import Outcome

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "compatibility.json"
PAGE = DOCS / "compatibility.md"

COLUMNS = ("suite", "version", "tests", "same", "listed", "skipped")

TEXT = """\
# Compatibility

Tests that others wrote, for `contextvars`, for what builds on it and for maps, run on the original
and on ctxvars, and are compared test by test: how each ends, the type of the exception, the reason
of a skip, subtests. CPython's come with the interpreter; those of packages come from the source
distribution on PyPI, and run with the authors' settings on the released package. For context
variables, ctxvars is put in the place of `contextvars` as `python -m ctxvars run` does it, and each
run makes sure of which of the two the package has imported. For maps, `ctxvars.Map` is put in the
place of the map that is tested; what writes to a `dict` writes to a `Versions`, which keeps the
latest version of a map.

```console
$ make test-foreign     # runs them on the default interpreter, and writes this page
```

Of the tests, *same* end as on the original; *listed* ones differ, and are listed below with the
reason; *skipped* ones are skipped on both. Any other difference fails the run, and so does a listed
test that no longer differs.
"""


def rows(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """The outcomes of each suite, added up."""
    added: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        row = added.setdefault(
            outcome.suite,
            {"suite": outcome.suite, "version": outcome.version}
            | dict.fromkeys(["tests", "same", "listed", "skipped", "surprises"], 0)
            | {"note": "", "what": [], "differences": {}},
        )
        row["what"] += [outcome.what] if outcome.what not in row["what"] else []
        row["tests"] += outcome.tests
        row["same"] += outcome.same
        row["listed"] += len(outcome.listed)
        row["skipped"] += outcome.skipped
        row["surprises"] += len(outcome.surprises)
        row["note"] = row["note"] or outcome.note
        row["differences"] |= outcome.listed
    return list(added.values())


def table(outcomes: Iterable[Outcome]) -> str:
    """For people who ran them: with what is wrong, and with what did not run."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=f"Tests of others, on CPython {platform.python_version()}")
    for column in (*COLUMNS, "unlisted"):
        drawn.add_column(column, justify="left" if column in ("suite", "version") else "right")
    notes = []
    for row in rows(outcomes):
        surprises = f"[red]{row['surprises']}[/red]" if row["surprises"] else "0"
        drawn.add_row(*(str(row[column]) for column in COLUMNS), surprises)
        if row["note"]:
            notes.append(f"{row['suite']}: skipped, {row['note']}\n")
    console = Console(file=io.StringIO(), width=100, force_terminal=sys.stdout.isatty())
    console.print(drawn)
    return console.file.getvalue() + "".join(notes)


def publish(outcomes: Iterable[Outcome]) -> Path:
    """Replace the results of this version of Python, and write the page anew."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    minor = "{}.{}".format(*sys.version_info)
    results[minor] = {"python": platform.python_version(), "rows": rows(outcomes)}
    results = dict(sorted(results.items(), key=lambda entry: int(entry[0].partition(".")[2])))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(json.loads(RESULTS.read_text())))
    return PAGE


def page(results: dict[str, dict[str, Any]]) -> str:
    parts = [TEXT, what_runs(results)]
    for result in results.values():
        parts.append(f"## On CPython {result['python']}\n")
        lines = ["| " + " | ".join(COLUMNS) + " |", "| --- | --- |" + " ---: |" * 4]
        lines += [
            "| " + " | ".join(str(row[column]) for column in COLUMNS) + " |"
            for row in result["rows"]
        ]
        notes = [f"{row['suite']}: {row['note']}." for row in result["rows"] if row["note"]]
        parts.append("\n".join(lines) + "\n")
        parts += [f"{note}\n" for note in notes]
    parts.append("## The listed differences\n")
    parts += [section(suite, results) for suite in suites_that_differ(results)]
    return "\n".join(parts)


def what_runs(results: dict[str, dict[str, Any]]) -> str:
    whats: dict[str, list[str]] = {}
    for result in results.values():
        for row in result["rows"]:
            whats.setdefault(row["suite"], []).extend(row["what"])
    lines = [f"- {suite}: {', '.join(dict.fromkeys(what))}" for suite, what in whats.items()]
    return "What runs:\n\n" + "\n".join(lines) + "\n"


def suites_that_differ(results: dict[str, dict[str, Any]]) -> list[str]:
    rows = [row for result in results.values() for row in result["rows"]]
    return list(dict.fromkeys(row["suite"] for row in rows if row["differences"]))


def section(suite: str, results: dict[str, dict[str, Any]]) -> str:
    """The differences of a suite, by their reasons, with the versions if not on all of them."""
    versions: dict[tuple[str, str, str], list[str]] = {}
    tried = []
    for minor, result in results.items():
        for row in result["rows"]:
            if row["suite"] == suite:
                tried += [minor] if row["tests"] else []
                for test, (endings, reason) in row["differences"].items():
                    ended = ", ".join(endings)
                    versions.setdefault((reason, test, ended), []).append(minor)
    lines = [f"### {suite}\n"]
    for reason in dict.fromkeys(reason for reason, _, _ in sorted(versions)):
        lines.append(f"- {reason}:")
        for (why, test, ended), minors in sorted(versions.items()):
            if why == reason:
                where = "" if minors == tried else f" (on {', '.join(minors)})"
                lines.append(f"  - `{test}`: {ended}{where}")
    return "\n".join(lines) + "\n"
