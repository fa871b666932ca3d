"""Programs that once showed a difference do not show one any more.

`python -m ctxvars fuzz` saves such programs. The folder `fuzz_found` has the part that follows
"# The program.", under a name that begins with the subject. The functions that a program calls come
from the current fuzzer.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ctxvars.fuzz.compare import Difference, compare
from ctxvars.fuzz.program import script, statements_of
from ctxvars.fuzz.subjects import SUBJECTS
from tests.support.fuzz.faults import FAULTS, modules_of

PROGRAMS = sorted((Path(__file__).parents[1] / "fuzz_found").glob("*.py"))

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_found_program_shows_no_difference_any_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, _, what = path.stem.partition("_")
    statements = statements_of(path.read_text(encoding="utf-8"))
    program = script(SUBJECTS[subject].machine.runtime, statements)
    lines = compare(program, (SUBJECTS[subject].against, "ctxvars"))
    assert not [ending for _, ending in lines if ending.startswith("raised NameError")]
    # A program that has the name of a fault shows that fault.
    fault = FAULTS.get(what.replace("_", " "))
    if fault is not None:
        with pytest.raises(Difference):
            compare(program, modules_of(fault, monkeypatch))
