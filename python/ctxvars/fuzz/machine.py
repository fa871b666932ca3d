"""What all machines that write programs have in common."""

from __future__ import annotations

import re
import sys
from itertools import cycle
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ctxvars.fuzz.compare import Difference, compare
from ctxvars.fuzz.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctxvars.fuzz.compare import Line

# Which of the things of a kind a statement takes, in one number: hypothesis deletes a step only if
# it consists of few draws.
# Each number is below `MOST`, more than there are things to choose from as programs begin.
MOST = 32
picks = st.integers(0, MOST**5 - 1)


def each(picks: int) -> Iterator[int]:
    """One number for each place of a statement."""
    digits = [picks // MOST**place % MOST for place in range(5)]
    return cycle(digits)


class Operation(NamedTuple):
    """A call: what it is called when it is counted, and its template (see `Program.fill`)."""

    kind: str
    call: str
    # What its result is, if it gets a name.
    makes: str | None = None
    # Whether what it returns is waited for.
    awaits: bool = False

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
    """Writes a program, one statement with each step; in the end it is run on both modules.

    There is one rule only: to choose among rules takes hypothesis longer than all the rest.
    """

    # The files of this package of which programs carry along what they need.
    steps: ClassVar[tuple[str, ...]]
    # Where the program runs, and who is told.
    modules: ClassVar[tuple[str, str]]
    watch: ClassVar[Watch]
    # What makes the things that an operation may need.
    makers: ClassVar[dict[str, Operation]]

    # What this program may consist of.
    operations: list[Operation]

    def __init__(self) -> None:
        super().__init__()
        self.program = Program(self.steps)

    @rule(choice=st.integers(0, 2**12 - 1), picks=picks)
    def go_on(self, choice: int, picks: int) -> None:
        self.write(self.operations[choice % len(self.operations)], picks)

    def write(self, operation: Operation, picks: int) -> None:
        """Add an operation, and whatever it takes for that."""
        self.add(operation, picks)

    def add(self, operation: Operation, picks: int) -> None:
        """Add a call, and before it what makes what it needs, if there is none yet."""
        for kind in operation.needs:
            if kind in self.makers and not self.program.names[kind]:
                self.add(self.makers[kind], picks)
        call = self.program.fill(operation.call, each(picks))
        if call is not None:
            self.program.step(operation.kind, call, operation.makes, operation.awaits)

    def teardown(self) -> None:
        # Hypothesis may have given it up, when it is not done.
        if sys.exception() is None:
            try_out(str(self.program), self.modules, self.watch)


def makers(operations: list[Operation]) -> dict[str, Operation]:
    """For each kind of thing the first operation that makes one."""
    return {it.makes: it for it in reversed(operations) if it.makes}


def weighted(*groups: list[Operation]) -> list[Operation]:
    """The operations of all groups, so often that no group is rarer for being small."""
    most = max(map(len, groups))
    return [operation for group in groups for operation in group * round(most / len(group))]
