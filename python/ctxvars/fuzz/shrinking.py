"""Making a program that makes a difference smaller still, once hypothesis is done with it.

Hypothesis deletes single steps, in which a function begins and ends apart from each other, and it
gives up after some hundred successes. So statements are deleted from what is left, each with the
statements inside it, as long as it makes such a difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxvars.fuzz.compare import Difference
from ctxvars.fuzz.machine import try_out
from ctxvars.fuzz.program import script, statements_of

if TYPE_CHECKING:
    from ctxvars.fuzz.machine import Watch

# What goes on with the statement before it.
CONTINUATIONS = ("finally:", "except ")


def shrink(difference: Difference, steps: tuple[str, ...], watch: Watch) -> Difference:
    """Such a difference, made by as few statements as can be found.

    Args:
        difference: the one to keep: see `nature`.
        steps: the files of which the program carries along what it needs.
        watch: is told of each program that is tried.
    """
    lines = statements_of(difference.program).splitlines()
    before = None
    while before != lines:
        before = lines
        for place in reversed(range(len(lines))):
            rest = without(lines, place)
            found = attempt("\n".join(rest), difference, steps, watch)
            if found:
                lines, difference = rest, found
    return difference


def attempt(
    statements: str, difference: Difference, steps: tuple[str, ...], watch: Watch
) -> Difference | None:
    """Such a difference, if these statements make one."""
    try:
        try_out(script(steps, statements), difference.modules, watch)
    except SyntaxError:
        # Nothing is left in a function or block, which goes as a whole or not at all.
        return None
    except Difference as found:
        return found if nature(found) == nature(difference) else None
    return None


def nature(difference: Difference) -> list[str]:
    """What must stay: at which kinds of steps it shows, and whether and what they raise.

    What they return may change: some return all that there is.
    """
    return [
        f"{kind}: {ending.partition(':')[0] if ending.startswith('raised ') else ''}"
        for kind, ending in difference.lines
    ]


def without(lines: list[str], place: int) -> list[str]:
    """The lines without the statement that begins there."""
    width = indentation(lines[place])
    end = place + 1
    while end < len(lines) and (
        not lines[end]
        or indentation(lines[end]) > width
        or (indentation(lines[end]) == width and lines[end].strip().startswith(CONTINUATIONS))
    ):
        end += 1
    return lines[:place] + lines[end:]


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
