"""The page on compatibility shows the results of all interpreters, and how they differ."""

import json
import platform

from scripts.compatibility_page import page
from tests.foreign.endings import Difference, Outcome
from tests.foreign.summary import as_json

DIFFERENCE = Difference(["error: TypeError"], "it insists on a native context")


def outcomes(tests: int, **listed: Difference) -> list[Outcome]:
    """A suite in two parts."""
    return [
        Outcome("made", "1.0", "`test_one`", tests=tests - 1, listed=listed),
        Outcome("made", "1.0", "`test_two`", tests=1, skipped=1),
    ]


def test_parts_of_a_suite_are_added_up() -> None:
    found = json.loads(as_json(outcomes(10, test_a=DIFFERENCE)))
    assert found["python"] == platform.python_version()
    (row,) = found["rows"]
    assert [row[name] for name in ("tests", "same", "listed", "skipped")] == [10, 8, 1, 1]
    assert row["what"] == ["`test_one`", "`test_two`"]


def test_page() -> None:
    on_all, on_one = {"test_a": DIFFERENCE}, {"test_b": DIFFERENCE}
    older = json.loads(as_json(outcomes(10, **on_all)))
    newer = json.loads(as_json(outcomes(20, **on_all, **on_one)))
    text = page({"3.14": older | {"python": "3.14.1"}, "3.15": newer | {"python": "3.15.2"}})
    assert "- made: `test_one`, `test_two`\n" in text
    assert "## On CPython 3.14.1\n" in text
    assert "| made | 1.0 | 10 | 8 | 1 | 1 |\n" in text
    assert "| made | 1.0 | 20 | 17 | 2 | 1 |\n" in text
    assert "- it insists on a native context:\n" in text
    assert "  - `test_a`: error: TypeError\n" in text
    assert "  - `test_b`: error: TypeError (on 3.15)\n" in text
