"""`public`: classes and functions name the module that users import them from."""

from __future__ import annotations

from types import FunctionType
from typing import Any, TypeVar

T = TypeVar("T", bound=Any)


def public(thing: T) -> T:
    """Set `__module__` of a class or function to the public package around its private module.

    So reprs, tracebacks and pickles say `ctxvars.Snapshot`, wherever the class is defined. A class
    is decorated; a function is passed below its definition, as a decorator would hide the names of
    its parameters from type checkers.
    """
    private = thing.__module__
    module = private.partition("._")[0]
    if not isinstance(thing, type):
        thing.__module__ = module
        return thing
    # Not through the metaclass: that of groups sets fields.
    type.__setattr__(thing, "__module__", module)
    for member in vars(thing).values():
        if isinstance(member, FunctionType) and member.__module__ == private:
            member.__module__ = module
    if "__firstlineno__" in vars(thing):
        # `inspect` would show this line of the other module as the source of the class.
        type.__delattr__(thing, "__firstlineno__")
    return thing
