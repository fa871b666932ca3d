"""Short texts for the values in a trace."""

from __future__ import annotations

import re
from reprlib import Repr
from types import CellType, FunctionType
from typing import Any


class Words(Repr):
    """Short representations, without addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.maxother = self.maxstring = 40

    def repr1(self, x: Any, level: int) -> str:
        match x:
            case type():
                return x.__qualname__
            case FunctionType():
                return f"function {x.__qualname__}"
            case CellType():
                return "cell"
        return super().repr1(x, level)

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            # The result may be of a subclass of `str`, with other methods.
            text = str.__str__(repr(x))
        except Exception:
            text = object.__repr__(x)
        text = re.sub(r" at 0x[0-9a-f]+", "", text)
        return text if len(text) <= self.maxother else f"{text[: self.maxother - 3]}..."


_words = Words()


def words(value: object) -> str:
    """Return a short representation, also of a value whose methods raise exceptions."""
    try:
        return str.__str__(_words.repr(value))
    except Exception:
        # A metaclass can make `__qualname__` fail, and any class can lie about its `__class__`.
        # `Repr` chooses a method by the name of the class, and `list` may be any class.
        return _words.repr_instance(value, 0)


def name_words(name: object) -> str:
    """Return a name in a namespace, which may be an object of any type."""
    return str.__str__(name) if issubclass(type(name), str) else words(name)


def error_words(error: BaseException) -> str:
    """Return the type and the message of an exception, also if it cannot be converted to text."""
    try:
        message = str.__str__(str(error))
    except Exception:
        message = "<no message: __str__() failed>"
    return f"{type(error).__name__}: {message}"
