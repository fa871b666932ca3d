"""Makes a program with different output smaller, after hypothesis has shrunk it.

Hypothesis deletes single steps, so it cannot delete a function, whose beginning and end are two
steps. It also stops after some hundred successes. So this module deletes statements, each with the
statements inside it, as long as the program makes the same difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxvars.fuzz.compare import Difference
from ctxvars.fuzz.machine import try_out
from ctxvars.fuzz.program import script, statements_of

if TYPE_CHECKING:
    from ctxvars.fuzz.machine import Watch

# Clauses that belong to the statement before them.
CONTINUATIONS = ("finally:", "except ")


def shrink(difference: Difference, runtime: tuple[str, ...], watch: Watch) -> Difference:
    """Return an equivalent difference, made by as few statements as possible.

    Args:
        difference: the one to keep: see `nature`.
        runtime: the files whose functions the program may contain.
        watch: called for each program.
    """
    lines = statements_of(difference.program).splitlines()
    before = None
    while before != lines:
        before = lines
        for place in reversed(range(len(lines))):
            rest = without(lines, place)
            found = attempt("\n".join(rest), difference, runtime, watch)
            if found:
                lines, difference = rest, found
    return difference


def attempt(
    statements: str, difference: Difference, runtime: tuple[str, ...], watch: Watch
) -> Difference | None:
    """Return an equivalent difference, if these statements make one."""
    try:
        try_out(script(runtime, statements), difference.modules, watch)
    except SyntaxError:
        # A function or block would be empty.
        return None
    except Difference as found:
        return found if nature(found) == nature(difference) else None
    return None


def nature(difference: Difference) -> list[str]:
    """Return what makes differences equivalent: the kinds of steps, and the exceptions they raise.

    Results may change: some steps return the whole state.
    """
    return [
        f"{kind}: {ending.partition(':')[0] if ending.startswith('raised ') else ''}"
        for kind, ending in difference.lines
    ]


def without(lines: list[str], place: int) -> list[str]:
    """Return the lines without the statement that begins at a place."""
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
