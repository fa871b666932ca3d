"""Functions for all generated programs. A program contains copies of the functions that it calls.

A program is a script without dependencies. Its first argument names the module that it tests. It
prints a line for each step: the kind of the step, and its result. The lines omit details in which
two implementations may differ: addresses, names of modules, the order of iteration.

This file uses the standard library only, and is deterministic.
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
    """Make a call, and print its result; return the result, or None if the call raised."""
    try:
        result = call()
    except Exception as error:
        note(kind, raised(error))
        return None
    note(kind, described(result))
    return result


def normalised(text):
    """Remove the details that may differ between implementations."""
    text = re.sub(r"\b(_contextvars|contextvars|ctxvars)\.", "", text)
    text = re.sub(r"\bTask-\d+\b", "Task", text)
    return re.sub(r"\b0x[0-9a-f]+\b", "0x", text)


def multiset(things):
    """Describe the results of an iteration, sorted, because its order is not specified."""
    return sorted(described(it, within=True) for it in things)


class Boom(Exception):
    """Raised on purpose."""


def fail():
    raise Boom("on purpose")


steps_done = count(1)


def fail_at_times(interval):
    """Raise at each `interval`-th step."""
    if next(steps_done) % interval == 0:
        fail()


def collect():
    gc.collect()


class Iteration:
    """An iterator whose items are shown together at its end, because their order may differ."""

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
