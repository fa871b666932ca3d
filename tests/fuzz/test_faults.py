"""The fuzzer finds each of a number of faults, and shows it by a short program."""

from __future__ import annotations

import sys
import time

import pytest

from ctxvars.fuzz.campaign import OutOfTime, search
from ctxvars.fuzz.compare import Difference
from ctxvars.fuzz.machine import Watch, try_out
from ctxvars.fuzz.program import statements_of
from ctxvars.fuzz.subjects import SUBJECTS
from tests.support.builds import FREE_THREADED
from tests.support.fuzz.faults import FAULTS, modules_of

# In CPU time, so that a busy machine makes no difference.
SECONDS = 60.0
# How many programs hypothesis may try to find a smaller one. `shrink` does most of the work.
TRIES = 10
MOST_LINES = 25

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        FREE_THREADED, reason="too slow here: each collection looks at all objects there are"
    ),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Deadline(Watch):
    """Ends a search that finds nothing."""

    def __init__(self) -> None:
        self.ends_at = time.process_time() + SECONDS

    def ends(self, lines: list[tuple[str, str]]) -> None:
        if time.process_time() > self.ends_at:
            raise OutOfTime("it has not been found")

    def differs(self, difference: Difference) -> None:
        self.ends_at = float("inf")


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = FAULTS[name]
    modules = modules_of(fault, monkeypatch)
    difference = search(fault.subject, modules, 0, sys.maxsize, Deadline(), TRIES)
    assert difference is not None
    assert len(statements_of(difference.program).splitlines()) <= MOST_LINES, difference.program
    # The program distinguishes the fault from the correct module, and not by chance.
    with pytest.raises(Difference):
        try_out(difference.program, modules, Watch())
    try_out(difference.program, (modules[0], "ctxvars"), Watch())


def test_the_wrapper_is_sound() -> None:
    modules = SUBJECTS["contextvars"].against, "tests.support.fuzz.wrapped_contextvars"
    difference = search("contextvars", modules, 1, 100, Watch())
    assert difference is None, f"{difference.program}\n{difference}"
