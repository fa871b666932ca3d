# The steps of class creation, for `ctxvars.classes`: `_core.pyi` has the same names.

from collections.abc import Callable
from types import FunctionType
from typing import Any

__all__ = ["build_class", "build_class_observed", "run_body"]

def build_class(
    func: FunctionType, name: str, /, *bases: Any, metaclass: Any = ..., **kwds: Any
) -> Any:
    """Create a class as a class statement does: build_class(func, name, /, *bases,
    metaclass=..., **kwds).

    `func` is the body, a function whose code is run once with the namespace that the metaclass
    prepares. `name` is the name of the class. Bases that are not classes may name others by
    `__mro_entries__`. The metaclass is the most derived one of `metaclass` and the metaclasses
    of the bases. Keyword arguments are passed to `__prepare__`, the metaclass, and
    `__init_subclass__`. Return the result of the metaclass. Raise the exceptions of
    builtins.__build_class__, with its messages. O(1) besides the body and the metaclass.
    (The language reference, 3.3.3, Customizing class creation)"""

def build_class_observed(
    observer: Callable[[str, Any], object],
    func: FunctionType,
    name: str,
    /,
    *bases: Any,
    metaclass: Any = ...,
    **kwds: Any,
) -> Any:
    """As build_class, but call the first argument at each step: observer(step, value).

    The steps are 'statement' (func, name, bases, keywords), 'bases', 'metaclass', 'namespace',
    'body' (its result), 'call' (the namespace with which the metaclass is called next),
    'class', and at any point 'error', with the exception, which then propagates. If the
    observer returns an object other than None for 'namespace', the body is run with it
    instead. An exception of the observer ends the creation."""

def run_body(function: FunctionType, namespace: Any, /) -> Any:
    """Run the code of a function, such as the body of a class, with a namespace as its locals.

    Names that the body assigns are stored in `namespace`, any mapping. Return the result of
    the function: the body of a class returns the cell of `__class__` if a method refers to
    it, else None. Raise TypeError if `function` is not a function or `namespace` is not a
    mapping. O(1) besides the body. (The language reference, 3.3.3.5)"""
