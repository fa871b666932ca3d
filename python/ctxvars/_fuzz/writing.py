"""What all machines that write programs have in common."""

from __future__ import annotations

import re
from itertools import cycle
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ctxvars._fuzz.compare import Difference, compare
from ctxvars._fuzz.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctxvars._fuzz.compare import Line

# Which of the things of a kind a statement takes, in one number: hypothesis deletes a step only if
# it consists of few draws.
picks = st.integers(0, 16**5 - 1)


def each(picks: int) -> Iterator[int]:
    """One number for each place of a statement."""
    digits = [picks // 16**place % 16 for place in range(5)]
    return cycle(digits)


class Operation(NamedTuple):
    """A call: what it is called when it is counted, and its template (see `Program.fill`)."""

    kind: str
    call: str
    # What its result is, if it gets a name.
    makes: str | None = None

    @property
    def needs(self) -> list[str]:
        """The kinds of the things that it takes."""
        return re.findall(r"\{(\w+)\}", self.call)


class Watch:
    """Is told of each program; does nothing about it."""

    def begins(self, program: str) -> None:
        """A program is about to run."""

    def ends(self, lines: list[Line]) -> None:
        """It has printed the same on both modules."""

    def differs(self, difference: Difference) -> None:
        """It has not."""


def try_out(program: str, modules: tuple[str, str], watch: Watch) -> None:
    """Run a program on both modules.

    Raises:
        Difference: it does not print the same on both.
    """
    watch.begins(program)
    try:
        lines = compare(program, modules)
    except Difference as difference:
        watch.differs(difference)
        raise
    watch.ends(lines)


class Writing(RuleBasedStateMachine):
    """Writes a program, one statement with each step; in the end it is run on both modules."""

    # The files of this package of which programs carry along what they need.
    steps: ClassVar[tuple[str, ...]]
    # Where the program runs, and who is told.
    modules: ClassVar[tuple[str, str]]
    watch: ClassVar[Watch]

    def __init__(self) -> None:
        super().__init__()
        self.program = Program(self.steps)

    def add(self, operation: Operation, picks: int, awaits: bool = False) -> None:
        """Add a call, if there is everything that it needs."""
        call = self.program.fill(operation.call, each(picks))
        if call is not None:
            self.program.step(operation.kind, call, operation.makes, awaits)

    def teardown(self) -> None:
        try_out(str(self.program), self.modules, self.watch)


def adds(operations: list[Operation], awaits: bool = False) -> Callable[..., None]:
    """A rule that adds one of these operations."""

    @rule(operation=st.sampled_from(operations), picks=picks)
    def add(self: Writing, operation: Operation, picks: int) -> None:
        self.add(operation, picks, awaits)

    return add
