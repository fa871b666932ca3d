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


# The program.
variable_2 = module.ContextVar('variable_2')
variable_3 = module.ContextVar('variable_3')
token_0 = step("set", lambda: variable_2.set(1))
token_1 = step("set", lambda: variable_2.set(variable_3))
step("old value", lambda: token_1.old_value)
