"""Prints the same whichever of the two modules it is given the name of."""

import weakref
import sys
import re
from itertools import count
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


def described(thing, within=False):
    if isinstance(thing, module.Context):
        # It may hold itself.
        return f"Context of {len(thing) if within else multiset(thing.items())}"
    if hasattr(thing, "add_done_callback"):
        return f"{type(thing).__name__}, {'done' if thing.done() else 'pending'}"
    if type(thing) is tuple:
        return f"({', '.join(described(it, within) for it in thing)})"
    return normalised(repr(thing))


def raised(error):
    text = f"raised {type(error).__name__}: {normalised(str(error))}"
    if error.__cause__ is not None:
        text += f", caused by {type(error.__cause__).__name__}"
    if error.__context__ is not None:
        text += f", after {type(error.__context__).__name__}"
    return text


class Value:
    """Equals itself only, is counted while it lives, and can refer to something."""

    numbers = count(1)
    living = weakref.WeakValueDictionary()

    def __init__(self, refers_to=None):
        self.number = next(self.numbers)
        self.refers_to = refers_to
        self.living[self.number] = self

    def __repr__(self):
        return f"{type(self).__name__} {self.number}"


class Hostile(Value):
    """Does something when it is compared: `refers_to` says what."""

    def __eq__(self, other):
        self.refers_to()
        return True

    __hash__ = None


contexts = []


def known(context):
    """Make a context one of those of which it is told whether they are alive.

    A task holds the native context of ours, and nothing else of it.
    """
    contexts.append((weakref.ref(context), weakref.ref(getattr(context, "native", context))))
    return context


def changed(context, variable, value):
    """A copy in which a variable has this value."""
    copy = context.copy()
    copy.run(variable.set, value)
    return copy


def is_hostile(pair):
    return any(isinstance(value, Hostile) for value in pair)


def equal(one, other):
    """Compare contexts, unless it depends on the order of their variables what happens."""
    if isinstance(one, module.Context) and isinstance(other, module.Context):
        pairs = [(one[it], other.get(it, it)) for it in one]
        pairs = [pair for pair in pairs if pair[0] is not pair[1]]
        hostile = sum(map(is_hostile, pairs))
        differ = any(a != b for a, b in pairs if not is_hostile((a, b)))
        if hostile > 1 or (hostile and differ):
            return "depends on the order"
    return one == other


# The program.
variable_0 = module.ContextVar('variable_0')
context_3 = step("copy current", lambda: known(module.copy_context()))
step("equality if changed", lambda: equal(context_3, changed(context_3, variable_0, None)))
