"""Programs that have made a difference once make none any more.

`python -m ctxvars fuzz` saves such a program. Of it, what follows "# The program." is kept here,
under a name that begins with the subject: what it calls is taken from where it is now.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import FAULTS, modules_of

from ctxvars.fuzz.compare import Difference, compare
from ctxvars.fuzz.program import script, statements_of
from ctxvars.fuzz.subjects import SUBJECTS

PROGRAMS = sorted((Path(__file__).parent / "fuzz_found").glob("*.py"))

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject, _, what = path.stem.partition("_")
    statements = statements_of(path.read_text(encoding="utf-8"))
    program = script(SUBJECTS[subject].machine.runtime, statements)
    lines = compare(program, (SUBJECTS[subject].against, "ctxvars"))
    assert not [ending for _, ending in lines if ending.startswith("raised NameError")]
    # One that is named after a fault shows that fault.
    fault = FAULTS.get(what.replace("_", " "))
    if fault is not None:
        with pytest.raises(Difference):
            compare(program, modules_of(fault, monkeypatch))
