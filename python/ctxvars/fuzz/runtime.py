"""What all generated programs call. A program carries along the parts of such files that it needs.

So a program is a script that runs by itself, on the module that its first argument names. It prints
a line for each step: what kind of step it was, and how it ended. Whatever two implementations may
do differently is left out of these lines: addresses, names of modules, the order of iteration.

Nothing here depends on anything else than the standard library, and nothing is random.
"""

# mypy: ignore-errors
# ruff: noqa: F821

import gc
import re
import sys
from importlib import import_module
from itertools import count

module = import_module(sys.argv[1])


def note(kind, what):
    print(kind, what, sep=": ")


def step(kind, call):
    """Make a call, and tell how it ended; what it returned, or None if it raised."""
    try:
        result = call()
    except Exception as error:
        note(kind, raised(error))
        return None
    note(kind, described(result))
    return result


def normalised(text):
    """Take out of a text what may differ."""
    text = re.sub(r"\b(_contextvars|contextvars|ctxvars)\.", "", text)
    text = re.sub(r"\bTask-\d+\b", "Task", text)
    return re.sub(r"\b0x[0-9a-f]+\b", "0x", text)


def multiset(things):
    """The order in which a map is iterated over is nobody's promise."""
    return sorted(described(it, within=True) for it in things)


class Boom(Exception):
    """Raised on purpose."""


def fail():
    raise Boom("on purpose")


steps_done = count(1)


def fail_at_times(interval):
    """Fail each time that so many steps have been done."""
    if next(steps_done) % interval == 0:
        fail()


def collect():
    gc.collect()


class Iteration:
    """An iterator, which tells what it yielded only in the end."""

    def __init__(self, iterator):
        self.iterator = iterator
        self.yielded = []

    def advance(self, times):
        for _ in range(times):
            try:
                self.yielded.append(next(self.iterator))
            except StopIteration:
                return multiset(self.yielded)
        return len(self.yielded)
