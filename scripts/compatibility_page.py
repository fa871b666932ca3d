"""Writes docs/reference/compatibility.md from the last `make test-all`: `make compatibility`.

    python -m scripts.compatibility_page FILE ...

Each file is what one interpreter wrote with pytest's option `--outcomes`. Nothing of the page
depends on when or how fast the tests ran.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tests.foreign.summary import COLUMNS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "compatibility.md"

TEXT = """\
# Compatibility

Foreign test suites, for `contextvars`, for packages that use it and for maps, run on the original
and on ctxvars. For each test, the ending, the type of the exception, the reason of a skip and the
subtests are compared. The tests of CPython come with the interpreter. Those of packages come from
the source distribution, and run with the settings of the authors on the released package. For
context variables, ctxvars replaces `contextvars` as `python -m ctxvars run` does, and each run
checks which module the package has imported. OpenTelemetry's tests run on its runtime context
and on that of ctxvars. For maps, `ctxvars.Map` replaces the map that is tested. Tests that write
to a `dict` write to a `Versions`, which keeps the latest version of a map.

```console
$ make test-foreign     # runs the suites on the default interpreter, and prints a table
$ make test-all         # runs the project's tests and the suites on CPython 3.11 to 3.15
$ make compatibility    # writes this page from the results of make test-all
```

Tests under *same* end as on the original. Tests under *listed* differ, and are listed below with
the reason. Tests under *skipped* are skipped on both. Any other difference fails the run, and so
does a listed test that no longer differs.
"""


def page(results: dict[str, dict[str, Any]]) -> str:
    """Return the page, from the results of each minor version of Python."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("outcomes", nargs="+", type=Path, help="what one interpreter found")
    results = [json.loads(file.read_text()) for file in parser.parse_args().outcomes]
    PAGE.write_text(page({result["python"].rpartition(".")[0]: result for result in results}))


if __name__ == "__main__":
    main()
