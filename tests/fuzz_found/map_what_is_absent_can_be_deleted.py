"""Prints the same whichever of the two modules it is given the name of."""

import sys
import re
from importlib import import_module


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


def described(thing, within=False):
    if isinstance(thing, module.Map | module.MapMutation):
        return f"{type(thing).__name__} of {multiset(thing.items())}"
    if hasattr(thing, "changed"):
        parts = thing.added, thing.removed, thing.changed
        return f"{type(thing).__name__} of {', '.join(map(described, parts))}"
    if isinstance(thing, set):
        return f"set of {multiset(thing)}"
    if type(thing) is tuple:
        return f"({', '.join(map(described, thing))})"
    return normalised(repr(thing))


def raised(error):
    """The messages of a dict are those of a dict, but a key is a key."""
    details = error.args if isinstance(error, KeyError) else ()
    return f"raised {type(error).__name__}{described(details)}"


class Key:
    """Equals keys of the same number, and hashes to few of its bits."""

    def __init__(self, number, bits):
        self.number = number
        self.hash = number % 2**bits

    def __hash__(self):
        return self.hash

    def __eq__(self, other):
        return isinstance(other, Key) and self.number == other.number

    def __repr__(self):
        return f"Key {self.number}"


class Incomparable:
    """Has the hash of a number, and raises when it is compared with it."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return hash(self.number)

    def __eq__(self, other):
        return fail()

    def __repr__(self):
        return "Incomparable"


def entries(numbers, bits, value):
    """The same value for keys of these numbers."""
    return {Key(number, bits): value for number in numbers}


# The program.
map_2 = module.Map(entries(range(56), 60, 'first'))
step("delete what raises", lambda: map_2.delete(Incomparable(-1)))
