"""The bytecode of the body of a class, divided among the steps of its trace."""

from __future__ import annotations

import dis
import re
from bisect import bisect_right
from types import CodeType


class Instructions:
    """The instructions of a code object, each assigned to one step, unless a loop repeats it."""

    def __init__(self, code: CodeType) -> None:
        self.all = list(dis.get_instructions(code))
        self.words = [instruction_words(it) for it in self.all]
        self.offsets = [it.offset for it in self.all]
        self.assigned = 0

    def place_of(self, offset: int) -> int:
        """Return the place of the instruction that has this offset, or contains it.

        In a frame that waits for a call, the offset is that of the cache after the instruction.
        """
        return bisect_right(self.offsets, offset) - 1

    def up_to(self, offset: int) -> slice:
        """Return the instructions up to this one that were not assigned yet.

        In a loop, an instruction that was assigned before is assigned again.
        """
        end = self.place_of(offset) + 1
        start, self.assigned = min(self.assigned, end - 1), max(self.assigned, end)
        return slice(start, end)

    def rest(self) -> slice:
        start, self.assigned = self.assigned, len(self.all)
        return slice(start, self.assigned)


def instruction_words(instruction: dis.Instruction) -> str:
    argument = re.sub(r"<code object (\S+) at .*>", r"<code \1>", instruction.argrepr)
    return f"{instruction.opname} {argument}".strip()
