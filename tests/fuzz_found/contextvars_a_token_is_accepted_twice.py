"""Prints the same whichever of the two modules it is given the name of."""

import weakref
import sys
import re
from itertools import count
from importlib import import_module
from concurrent.futures import ThreadPoolExecutor


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


def in_thread(call):
    """Make a call in a thread of its own, and wait for it."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(call).result()


# The program.
variable_0 = module.ContextVar('variable_0', default='default')
context_0 = module.Context()
token_0 = step("set", lambda: variable_0.set(Value(context_0)))
step("reset", lambda: token_0.var.reset(token_0))
step("reset in a thread", lambda: in_thread(lambda: context_0.run(token_0.var.reset, token_0)))
