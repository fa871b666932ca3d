"""build_class against the interpreter's own __build_class__, one kind of class at a time."""

from __future__ import annotations

import builtins
import gc
import types
from typing import Any, NamedTuple

import pytest
from paired import OURS, Turn, measure, written_out
from report import Bar, Measurement

from ctxvars.classes import build_class

INTERPRETER = "builtins"
BAR = Bar(1.15, INTERPRETER)
COUNT = 200


class Statement(NamedTuple):
    """A class statement to measure, and the code that must run before it."""

    name: str
    code: str
    before: str = ""


STATEMENTS = [
    Statement("an empty class", "class C: pass"),
    Statement(
        "a base, three methods, super()",
        """
class C(Base):
    x = 1
    def first(self): return self.x
    def second(self): return super().second()
    def third(self): return __class__
""",
        "class Base: pass",
    ),
    Statement(
        "a metaclass, keywords",
        "class C(Base, option=1): x = 1",
        """
class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases, option=0): return {}
    def __new__(mcs, name, bases, namespace, option=0):
        return super().__new__(mcs, name, bases, namespace)
    def __init__(cls, name, bases, namespace, option=0): pass
class Base(metaclass=Meta): pass
""",
    ),
    Statement("a generic base", "class C(list[int]): pass"),
]


def turn(function: Any, statement: Statement) -> Turn:
    """Return a turn that creates classes by the statement, with this `__build_class__`."""
    names = {"__build_class__": function}
    names |= {
        name: getattr(builtins, name) for name in ("type", "super", "classmethod", "list", "int")
    }
    namespace: dict[str, Any] = {"__builtins__": names, "__name__": "bench"}
    exec(statement.before, namespace)
    body = "\n".join(f"    {line}" for line in statement.code.strip().splitlines())
    exec(f"def create():\n{body}", namespace)
    create: types.FunctionType = namespace["create"]
    return Turn(written_out("create()", {"create": create}, [None] * COUNT), COUNT)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_speed(benchmark: Any, statement: Statement) -> None:
    functions = {INTERPRETER: builtins.__build_class__, OURS: build_class}

    def prepared_round() -> dict[str, Turn]:
        # Classes are cycles, and the collector is off while they are created.
        gc.collect()
        return {name: turn(function, statement) for name, function in functions.items()}

    Measurement(
        suite="classes",
        operation=statement.name,
        samples=measure(benchmark, prepared_round),
        bars=[BAR],
    ).record(benchmark)
