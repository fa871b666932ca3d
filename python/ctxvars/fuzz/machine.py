"""The base class of the state machines that generate programs."""

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

# One number encodes all choices of a statement: hypothesis deletes a step only if it consists of
# few draws. Each choice is below `MOST`, which is more than the number of things at the start.
MOST = 32
picks = st.integers(0, MOST**5 - 1)


def each(picks: int) -> Iterator[int]:
    """Return the choices, one for each place of a statement."""
    digits = [picks // MOST**place % MOST for place in range(5)]
    return cycle(digits)


class Operation(NamedTuple):
    """A kind of call: its name in statistics, and its template (see `Program.fill`)."""

    kind: str
    call: str
    # The kind of its result, if the result gets a name.
    makes: str | None = None
    # Whether the result is awaited.
    awaits: bool = False

    @property
    def needs(self) -> list[str]:
        """The kinds of the things that the call uses."""
        return re.findall(r"\{(\w+)\}", self.call)


class Watch:
    """Called for each program; does nothing."""

    def begins(self, program: str) -> None:
        """A program is about to run."""

    def ends(self, lines: list[Line]) -> None:
        """The program has printed the same on both modules."""

    def differs(self, difference: Difference) -> None:
        """The output of the program differs."""


def try_out(program: str, modules: tuple[str, str], watch: Watch) -> None:
    """Run a program on both modules.

    Raises:
        Difference: the output differs between the modules.
    """
    watch.begins(program)
    try:
        lines = compare(program, modules)
    except Difference as difference:
        watch.differs(difference)
        raise
    watch.ends(lines)


class ProgramMachine(RuleBasedStateMachine):
    """Generates a program, one statement with each step, and runs it on both modules at the end.

    There is only one rule: with many, hypothesis would spend most of its time on choosing a rule.
    """

    # The files of this package whose functions programs may contain.
    runtime: ClassVar[tuple[str, ...]]
    # The modules to compare, and the object to be called for each program.
    modules: ClassVar[tuple[str, str]]
    watch: ClassVar[Watch]
    # For each kind of thing, the operation that makes one.
    makers: ClassVar[dict[str, Operation]]

    # The operations of this program.
    operations: list[Operation]

    def __init__(self) -> None:
        super().__init__()
        self.program = Program(self.runtime)

    @rule(choice=st.integers(0, 2**12 - 1), picks=picks)
    def add_step(self, choice: int, picks: int) -> None:
        self.write(self.operations[choice % len(self.operations)], picks)

    def write(self, operation: Operation, picks: int) -> None:
        """Add an operation, with the operations that it needs."""
        self.add(operation, picks)

    def add(self, operation: Operation, picks: int) -> None:
        """Add a call. If it needs a thing of a kind that does not exist yet, first make one."""
        for kind in operation.needs:
            if kind in self.makers and not self.program.names[kind]:
                self.add(self.makers[kind], picks)
        call = self.program.fill(operation.call, each(picks))
        if call is not None:
            self.program.step(operation.kind, call, operation.makes, operation.awaits)

    def teardown(self) -> None:
        # Hypothesis may have abandoned an unfinished program.
        if sys.exception() is None:
            try_out(str(self.program), self.modules, self.watch)


def makers(operations: list[Operation]) -> dict[str, Operation]:
    """Return, for each kind of thing, the first operation that makes one."""
    return {it.makes: it for it in reversed(operations) if it.makes}


def weighted(*groups: list[Operation]) -> list[Operation]:
    """Return the operations of all groups, repeated so that all groups are about as frequent."""
    most = max(map(len, groups))
    return [operation for group in groups for operation in group * round(most / len(group))]
