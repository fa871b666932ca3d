"""Running examples of documentation."""

from __future__ import annotations

import doctest


def run_doctest(test: doctest.DocTest) -> None:
    """Run the examples, and fail with doctest's report; keep the names that they define."""
    report: list[str] = []
    result = doctest.DocTestRunner().run(test, out=report.append, clear_globs=False)
    assert result.failed == 0, "".join(report)
