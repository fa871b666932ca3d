"""A trace keeps the contents of the prepared namespace, and the code of called methods."""

from __future__ import annotations

from ctxvars.classes import trace
from tests.support.shapes import SHAPES


def test_the_names_that_the_namespace_has_before_the_body() -> None:
    traced = trace(SHAPES)
    assert traced["Point"].given == (("given", 1),)
    assert next(traced["Point"].own("namespace")).name == "given"
    assert traced["Base"].given == ()


def test_names_in_a_namespace_may_be_any_objects() -> None:
    text = """
class Key:
    def __hash__(self): return 1 / 0 if closed else 1
    def __repr__(self): return "key"
    __str__ = None
closed = False
class Meta(type):
    def __prepare__(name, bases):
        global closed
        namespace = {Key(): 1}
        closed = True
        return namespace
    def __new__(mcs, name, bases, namespace):
        return type(name, bases, {})
class C(metaclass=Meta): pass
"""
    traced = trace(text)
    assert traced.error is None
    assert next(traced["C"].own("namespace")).name == "key"


def test_recorded_calls_have_the_code_of_the_method() -> None:
    point = trace(SHAPES)["Point"]
    calls = [*point.own("set_name"), *point.own("init_subclass")]
    assert [step.code and step.code.co_qualname for step in calls] == [
        *["Field.__set_name__"] * 2,
        "Base.__init_subclass__",
    ]
    (derived,) = trace("class C: pass")["C"].own("init_subclass")
    assert derived.code is None
