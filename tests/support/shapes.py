"""A module with a few classes, for the tests of tracing class statements."""

from __future__ import annotations

SHAPES = """
class Field:
    def __set_name__(self, owner, name):
        self.name = name
class Base:
    def __init_subclass__(cls, unit="m", **rest):
        super().__init_subclass__(**rest)
class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases, **kwds):
        return {"given": 1}
    def __new__(mcs, name, bases, namespace, **kwds):
        return super().__new__(mcs, name, bases, namespace, **kwds)
class Point(Base, metaclass=Meta, unit="mm"):
    x = Field()
    y = given
    del y
    class Inner(list[int]):
        pass
    z = Field()
    def method(self):
        return __class__
"""
