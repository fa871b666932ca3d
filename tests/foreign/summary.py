"""The results of the comparisons, suite by suite, as a table and as data for a page."""

from __future__ import annotations

import io
import json
import platform
import sys
from collections.abc import Iterable
from typing import Any

from tests.foreign.endings import Outcome

COLUMNS = ("suite", "version", "tests", "same", "listed", "skipped")


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
    """The table for the console, with surprises and with suites that did not run."""
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


def as_json(outcomes: Iterable[Outcome]) -> str:
    """The results of this interpreter, for `scripts/compatibility_page.py`."""
    found = {"python": platform.python_version(), "rows": rows(outcomes)}
    return json.dumps(found, indent=1)
