"""`build_class` does what the interpreter's own `__build_class__` does, case by case.

Each case is a program that is run twice, with either function as the `__build_class__` of its class
statements, and what it logs and raises is compared: types, messages, notes, causes, and the
functions that a traceback passes through.
"""

from __future__ import annotations

import builtins
import gc
import re
import sys
import textwrap
import types
import weakref
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from ctxvars import _core
from ctxvars.classes import build_class, run_body

# What every program may use, besides `log` and `build`.
PRELUDE = """
class Boom(Exception):
    pass

def fail(*args, **kwds):
    raise Boom("on purpose")

class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases, **kwds):
        log("prepare", mcs, name, bases, kwds)
        return {"prepared": True}

    def __new__(mcs, name, bases, namespace, **kwds):
        log("new", mcs, name, bases, list(namespace), kwds)
        return super().__new__(mcs, name, bases, namespace)

    def __init__(cls, name, bases, namespace, **kwds):
        log("init", cls, kwds)

class OtherMeta(type):
    pass

class Entries:
    def __init__(self, *entries):
        self.entries = entries

    def __mro_entries__(self, bases):
        log("entries", bases)
        return self.entries

    def __repr__(self):
        return f"Entries{self.entries}"

class Named:
    def __set_name__(self, owner, name):
        log("set_name", owner, name, sorted(vars(owner)))

class Base:
    def __init_subclass__(cls, **kwds):
        log("init_subclass", cls, kwds)
        super().__init_subclass__()

class Mapping:
    def __init__(self, **items):
        self.items = items

    def __getitem__(self, name):
        log("get", name)
        return self.items[name]

    def __setitem__(self, name, value):
        log("set", name)
        self.items[name] = value

    def __delitem__(self, name):
        log("delete", name)
        del self.items[name]

    def keys(self):
        return self.items.keys()
"""

CASES = {
    # The function itself, and its arguments.
    "no arguments": "build()",
    "one argument": "build(lambda: None)",
    "only keywords": "build(metaclass=type)",
    "func is no function": "build(print, 'C')",
    "func is a class": "build(Base, 'C')",
    "func is a method": "build(Base().__init_subclass__, 'C')",
    "func comes before name": "build(1, 2)",
    "name is no str": "build(lambda: None, 1)",
    "name is bytes": "build(lambda: None, b'C')",
    "name is a str of a subclass": """
        class Str(str): pass
        log(build(lambda: None, Str('C')), type(build(lambda: None, Str('C')).__name__))
    """,
    "name holds a null": "build(lambda: None, 'C\\0')",
    "keywords of a subclass of str": """
        class Str(str):
            def __hash__(self): return hash(str(self))
            def __eq__(self, other): return str(self) == other
        log(type(build(lambda: None, 'C', **{Str('metaclass'): Meta, Str('a'): 1})))
    """,
    # The body.
    "empty body": "log(vars(build(lambda: None, 'C')).keys())",
    "body that raises": """
        class C(metaclass=Meta):
            before = 1
            fail()
    """,
    "body is a generator": """
        def body(): log("runs"); yield 1
        log(build(body, 'C'), build(body, 'C', metaclass=Meta))
    """,
    "body is a coroutine": """
        async def body(): log("runs")
        import warnings
        warnings.simplefilter("ignore")
        log(build(body, 'C'))
    """,
    "body with defaults": """
        def body(a, b=2, *rest, c, d=4, **kwds): log(a, b, c, d, rest, kwds)
        body.__defaults__ = (1, 2)
        body.__kwdefaults__ = {"c": 3, "d": 4}
        log(build(body, 'C'))
    """,
    "body with parameters": """
        class Q:
            def m(self): pass
        build(Q.m, 'C')
    """,
    "body with keyword-only parameters": """
        def outer():
            def body(*, a, b): pass
            return body
        build(outer(), 'C')
    """,
    "body raises a TypeError": """
        class C:
            len(1)
    """,
    "body raises a TypeError without a traceback": """
        def body():
            log("runs")
            raise TypeError("once") from None
        build(body, 'C')
    """,
    "body sees its locals": """
        class C(metaclass=Meta):
            log(sorted(locals()))
            a = 1
            del a
            log(sorted(vars()))
    """,
    "name that is not there": """
        class C:
            missing
    """,
    "deleting what is not there": """
        class C:
            del missing
    """,
    "closure": """
        def outer(x):
            class C:
                y = x
                x = 3
                def method(self): return x, __class__
            return C
        log(outer(1).y, outer(1).x, outer(1)().method())
    """,
    "closure that is unbound": """
        def outer():
            class C:
                y = x
            x = 1
        outer()
    """,
    "nonlocal": """
        def outer():
            x = 1
            class C:
                nonlocal x
                x = 2
            return x, vars(C).keys()
        log(outer())
    """,
    "global": """
        class C:
            global made
            made = 1
        log(made, vars(C).keys())
    """,
    "nested": """
        class Outer(Base, a=1):
            class Inner(Base, b=2):
                named = Named()
        log(Outer.Inner.__qualname__)
    """,
    "docstring": """
        class C:
            "What it is for."
        log(C.__doc__, C.__module__, C.__qualname__)
    """,
    "slots": """
        class C:
            __slots__ = ("a", "b")
            __qualname__ = "D"
        log(C, C.a)
    """,
    "slots that clash": """
        class C:
            __slots__ = ("a",)
            a = 1
    """,
    "qualname that is no str": """
        class C:
            __qualname__ = 1
    """,
    "annotations": """
        class C:
            x: int = 1
            y: "str"
            def method(self, z: x): return __class__
        log(C.__annotations__, C.method.__annotations__)
    """,
    "annotations that raise": """
        class C:
            x: fail()
        log(C.__annotations__)
    """,
    "annotations under a condition": """
        class C:
            if x := 1:
                y: int
            else:
                z: int
        log(C.__annotations__)
    """,
    # The bases.
    "bases": "class C(Base, int, a=1): pass\nlog(C.__mro__, C.__bases__)",
    "base that is no class": "class C(1): pass",
    "bases twice": "class C(Base, Base): pass",
    "order of bases": "class C(object, Base): pass",
    "base that cannot be subclassed": "class C(bool): pass",
    "layouts that clash": "class C(int, str): pass",
    "entries": """
        class C(Entries(int)): pass
        log(C.__bases__, C.__orig_bases__)
    """,
    "no entries": """
        class C(Entries()): pass
        log(C.__bases__, C.__orig_bases__)
    """,
    "entries among classes": """
        class C(Base, Entries(), OtherMeta, Entries(int, dict)[0] if 0 else Entries(Meta)): pass
        log(C.__bases__, C.__orig_bases__, C.__mro__)
    """,
    "entries in order": """
        class A: pass
        class B: pass
        class C(A, Entries(B, Base), Entries(), Entries(dict)): pass
        log(C.__bases__, C.__orig_bases__)
    """,
    "entries that are no tuple": """
        class Wrong:
            def __mro_entries__(self, bases): return [int]
        class C(Wrong()): pass
    """,
    "entries of a subclass of tuple": """
        import collections
        Pair = collections.namedtuple("Pair", "a b")
        class C(Entries(), Entries(*Pair(Base, int))): pass
        log(C.__bases__)
        class Right:
            def __mro_entries__(self, bases): return Pair(Base, int)
        class C(Right()): pass
        log(C.__bases__)
    """,
    "entries that raise": """
        class Wrong:
            __mro_entries__ = fail
        class C(Entries(int), Wrong()): pass
    """,
    "entries whose attribute raises": """
        class Wrong:
            @property
            def __mro_entries__(self): raise Boom
        class C(Wrong()): pass
    """,
    "entries whose attribute is missing": """
        class Wrong:
            @property
            def __mro_entries__(self): raise AttributeError("hidden")
            def __repr__(self): return "Wrong"
        class C(Wrong()): pass
    """,
    "entries of a class are not asked for": """
        class Wrong:
            def __mro_entries__(cls, bases): fail()
        class C(Wrong): pass
        log(C.__bases__)
    """,
    "entries that are no classes": "class C(Entries(1)): pass",
    "entries that run out before the metaclass": """
        class C(Entries(Base), metaclass=fail): pass
    """,
    "orig_bases in a mapping that refuses": """
        class Refusing(dict):
            def __setitem__(self, name, value):
                if name == "__orig_bases__": fail()
                super().__setitem__(name, value)
        class Preparing(type):
            @classmethod
            def __prepare__(mcs, *args): return Refusing()
        class C(Entries(int), metaclass=Preparing): pass
    """,
    "generic": """
        import typing
        T = typing.TypeVar("T")
        class C(typing.Generic[T], list[T]): pass
        log(C.__bases__, C.__orig_bases__, C.__parameters__, C[int])
    """,
    # The metaclass.
    "metaclass": "class C(metaclass=Meta, a=1): x = 1\nlog(type(C))",
    "metaclass of a base": """
        class A(metaclass=Meta): pass
        class B(A, b=1): pass
        class C(B, metaclass=type): pass
        log(type(B), type(C))
    """,
    "metaclass more derived": """
        class More(Meta): pass
        class A(metaclass=Meta): pass
        class B(metaclass=More): pass
        class C(A, B, metaclass=type): pass
        class D(B, A): pass
        log(type(C), type(D))
    """,
    "metaclass conflict": """
        class A(metaclass=Meta): pass
        class B(metaclass=OtherMeta): pass
        class C(A, B): pass
    """,
    "metaclass conflict with a given one": """
        class A(metaclass=Meta): pass
        class C(A, metaclass=OtherMeta): pass
    """,
    "metaclass is None": "class C(metaclass=None): log('runs')",
    "metaclass is a function": """
        def make(*args, **kwds):
            log(args[:2], sorted(args[2]), kwds)
            return "made"
        class C(Base, metaclass=make, a=1):
            def method(self): return __class__
        log(C)
    """,
    "metaclass is an instance with prepare": """
        class Maker:
            def __prepare__(self, *args, **kwds):
                log("prepare", args, kwds)
                return {"a": 1}
            def __call__(self, *args, **kwds): return args
        class C(1, "b", metaclass=Maker(), c=2): pass
        log(C[:2], sorted(C[2]))
    """,
    "metaclass whose prepare raises": """
        class Wrong(type):
            __prepare__ = fail
        class C(metaclass=Wrong): log("runs")
    """,
    "metaclass whose prepare is missing": """
        class Maker:
            @property
            def __prepare__(self): raise AttributeError
            def __call__(self, *args): return sorted(args[2])
        class C(metaclass=Maker()): pass
        log(C)
    """,
    "metaclass whose prepare is hidden": """
        class Maker:
            @property
            def __prepare__(self): fail()
        class C(metaclass=Maker()): pass
    """,
    "metaclass whose prepare is no method": """
        class Wrong(type):
            def __prepare__(): log("called"); return {}
        class C(metaclass=Wrong): pass
    """,
    "namespace that is no mapping": """
        class Wrong(type):
            @classmethod
            def __prepare__(mcs, *args): return 1
        class C(metaclass=Wrong): log("runs")
    """,
    "namespace of an instance that is no mapping": """
        class Wrong:
            def __prepare__(self, *args): return {1}
        class C(metaclass=Wrong()): pass
    """,
    "namespace with keywords that prepare does not take": """
        class Strict(type):
            @classmethod
            def __prepare__(mcs, name, bases): return {}
        class C(metaclass=Strict, a=1): pass
    """,
    "namespace of its own": """
        class Preparing(type):
            @classmethod
            def __prepare__(mcs, *args): return Mapping(given=1)
            def __new__(mcs, name, bases, namespace):
                log(type(namespace), list(namespace.keys()))
                return super().__new__(mcs, name, bases, dict(namespace.items))
        class C(Entries(Base), metaclass=Preparing):
            x = given
            y = len
            del x
        log(C.__orig_bases__)
    """,
    "namespace that type does not take": """
        class Preparing(type):
            @classmethod
            def __prepare__(mcs, *args): return Mapping()
        class C(metaclass=Preparing): pass
    """,
    "namespace that raises": """
        class Raising(dict):
            def __setitem__(self, name, value):
                log(name)
                if name == "x": fail()
        class Preparing(type):
            @classmethod
            def __prepare__(mcs, *args): return Raising(__name__="m")
        class C(metaclass=Preparing):
            x = 1
    """,
    "metaclass that raises in new": """
        class Wrong(type):
            def __new__(mcs, *args): fail()
        class C(metaclass=Wrong): pass
    """,
    "metaclass that raises in init": """
        class Wrong(type):
            def __init__(cls, *args): fail()
        class C(metaclass=Wrong): pass
    """,
    "metaclass that makes no class": """
        class Odd(type):
            def __new__(mcs, name, bases, namespace): return name
        class C(metaclass=Odd):
            def method(self): return __class__
        log(C)
    """,
    "keywords that nobody takes": "class C(a=1): pass",
    "keywords that the metaclass does not take": """
        class Strict(type):
            def __new__(mcs, name, bases, namespace): return super().__new__(mcs, name, bases, {})
        class C(metaclass=Strict, a=1): pass
    """,
    # The cell of `__class__`.
    "super": """
        class A:
            def method(self): return "A"
        class B(A):
            def method(self): return super().method() + "B", __class__
        log(B().method())
    """,
    "classcell dropped": """
        class Dropping(type):
            def __new__(mcs, name, bases, namespace):
                namespace.pop("__classcell__")
                return super().__new__(mcs, name, bases, namespace)
        class C(metaclass=Dropping):
            def method(self): return __class__
    """,
    "classcell not passed on": """
        class Selecting(type):
            def __new__(mcs, name, bases, namespace):
                return super().__new__(mcs, name, bases, {})
        class C(metaclass=Selecting):
            def method(self): return __class__
    """,
    "classcell of another class": """
        class Doubling(type):
            def __new__(mcs, name, bases, namespace):
                first = super().__new__(mcs, name, bases, dict(namespace))
                namespace.pop("__classcell__", None)
                return super().__new__(mcs, "Other", bases, namespace)
        class C(metaclass=Doubling):
            def method(self): return __class__
    """,
    "classcell that is no cell": """
        class C:
            __classcell__ = 1
    """,
    "classcell of a class that is there already": """
        class Old: pass
        class Returning(type):
            def __new__(mcs, name, bases, namespace): return Old
        class C(metaclass=Returning):
            def method(self): return __class__
    """,
    "body that returns a cell of its own": """
        import types
        def body(): return types.CellType(int)
        build(body, "C")
    """,
    "body that returns an empty cell": """
        import types
        def body(): return types.CellType()
        build(body, "C")
    """,
    # What the metaclass calls.
    "set_name": "class C: a = Named(); b = Named()",
    "set_name raises": """
        class Wrong:
            __set_name__ = fail
        class C:
            a = Named()
            b = Wrong()
            c = Named()
    """,
    "set_name raises a RuntimeError": """
        class Wrong:
            def __set_name__(self, owner, name): raise RuntimeError("own")
        class C(Base):
            a = Wrong()
    """,
    "init_subclass": """
        class C(Base, a=1, b=2):
            named = Named()
        class D(C): pass
    """,
    "init_subclass raises": """
        class Wrong:
            __init_subclass__ = fail
        class C(Wrong): pass
    """,
    "init_subclass of the class itself": """
        class C:
            def __init_subclass__(cls): log(cls)
            def __class_getitem__(cls, item): return item
        log(C[1])
    """,
    # Of the standard library.
    "enum": """
        import enum
        class Colour(enum.IntFlag):
            RED = enum.auto()
            GREEN = enum.auto()
        log(list(Colour), Colour.RED | Colour.GREEN)
    """,
    "enum with a name twice": """
        import enum
        class Colour(enum.Enum):
            RED = 1
            RED = 2
    """,
    "named tuple": """
        import typing
        class Pair(typing.NamedTuple):
            a: int
            b: int = 2
        log(Pair(1), Pair.__orig_bases__ if hasattr(Pair, "__orig_bases__") else None)
    """,
    "typed dict": """
        import typing
        class Movie(typing.TypedDict, total=False):
            name: str
        log(Movie.__total__, Movie.__optional_keys__)
    """,
    "protocol": """
        import typing
        class Sized(typing.Protocol):
            def size(self) -> int: ...
        class C(Sized): pass
        log(C.__mro__)
        Sized()
    """,
    "dataclass": """
        import dataclasses
        @dataclasses.dataclass(slots=True)
        class C:
            a: int
            def method(self): return 1
        log(C(1))
    """,
    "abstract": """
        import abc
        class C(abc.ABC):
            @abc.abstractmethod
            def method(self): ...
        C()
    """,
}
if sys.version_info >= (3, 12):
    CASES |= {
        "type parameters": """
            class C[T: int, *Ts, **P](Base, a=1):
                def method[U](self, x: T, y: U) -> T: return __class__
            log(C.__type_params__, C.__bases__, C.__orig_bases__, C.method.__type_params__)
        """,
        "type parameters with a metaclass": """
            class A[T]:
                x: T
                type Alias = tuple[T, Inner]
                class Inner(list[T]): pass
            log(A.Alias.__value__, A.Inner.__orig_bases__)
        """,
        "type parameters and a clash": """
            import typing
            class C[T](typing.Generic[T]): pass
        """,
    }


class Run:
    """What a program logs and raises, in words without addresses."""

    def __init__(self, case: str, build: Any) -> None:
        self.said: list[str] = []
        names = {**vars(builtins), "__build_class__": build}
        namespace = {"__builtins__": names, "__name__": "program", "log": self.log, "build": build}
        source = PRELUDE + textwrap.dedent(CASES[case])
        try:
            exec(compile(source, "program", "exec", dont_inherit=True), namespace)
        except Exception as error:
            self.raised(error)
        namespace.clear()

    def log(self, *things: object) -> None:
        self.said.append(re.sub(r"0x[0-9a-f]+", "0x", repr(things)))

    def raised(self, error: BaseException) -> None:
        where = []
        traceback = error.__traceback__
        while traceback := traceback and traceback.tb_next:
            where.append((traceback.tb_frame.f_code.co_name, traceback.tb_lineno))
        self.log("raised", type(error), str(error), getattr(error, "__notes__", None), where)
        for related in (error.__cause__, error.__context__):
            if related is not None:
                self.raised(related)


@pytest.mark.parametrize("case", CASES)
def test_same(case: str) -> None:
    theirs, ours = Run(case, builtins.__build_class__), Run(case, build_class)
    assert ours.said == theirs.said
    # A case that neither logs nor raises would say nothing.
    assert ours.said


@pytest.mark.parametrize("case", CASES)
def test_same_when_observed(case: str) -> None:
    told = []

    def observer(step: str, value: Any) -> None:
        told.append(step)

    # No function of Python's stands between, as in a trace.
    ours = Run(case, partial(_core.build_class_observed, observer))
    assert ours.said == Run(case, builtins.__build_class__).said
    assert told.count("statement") == told.count("class") + told.count("error")


def nothing(step: str, value: Any) -> None:
    """An observer."""


@pytest.mark.parametrize(
    "ours",
    [build_class, partial(_core.build_class_observed, nothing)],
    ids=["build_class", "build_class_observed"],
)
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left(case: str, ours: Any) -> None:
    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    def growth(build: Any) -> int:
        counts = [objects()]
        for _ in range(3):
            Run(case, build)
            Run(case, build)
            counts.append(objects())
        # What is left once in a while belongs to caches; a leak grows each time.
        return min(after - before for before, after in pairwise(counts))

    gc.freeze()
    try:
        growth(ours)
        left, usual = growth(ours), growth(builtins.__build_class__)
    finally:
        gc.unfreeze()
    # The caches of `typing` keep each class that was generic over something.
    assert left <= max(usual, 0)


def test_arguments_are_let_go() -> None:
    class Keyword:
        pass

    def body() -> None:
        pass

    def fail(*args: Any, **kwds: Any) -> Any:
        raise ZeroDivisionError

    def given(*args: Any, **kwds: Any) -> Any:
        return None

    for metaclass, error in ((fail, ZeroDivisionError), (given, None)):
        keyword = Keyword()
        dead = weakref.ref(keyword)
        name = "".join(["a", " name"])
        counts = [sys.getrefcount(thing) for thing in (name, body, metaclass)]
        if error:
            with pytest.raises(error):
                build_class(body, name, metaclass=metaclass, keyword=keyword)
        else:
            build_class(body, name, metaclass=metaclass, keyword=keyword)
        assert counts == [sys.getrefcount(thing) for thing in (name, body, metaclass)]
        del keyword
        assert dead() is None


class TestObserver:
    """The observer of `build_class_observed`."""

    def steps(self, *args: Any, **kwds: Any) -> list[tuple[str, Any]]:
        told: list[tuple[str, Any]] = []
        _core.build_class_observed(lambda step, value: told.append((step, value)), *args, **kwds)
        return told

    def test_order(self) -> None:
        def body() -> None:
            pass

        told = self.steps(body, "C", int, metaclass=type)
        made = told[-1][1]
        assert told == [
            ("statement", (body, "C", (int,), {"metaclass": type})),
            ("bases", (int,)),
            ("metaclass", type),
            ("namespace", {}),
            ("body", None),
            ("call", {}),
            ("class", made),
        ]
        assert made.__bases__ == (int,)

    def test_body_runs_over_what_is_returned_for_the_namespace(self) -> None:
        class Watched(dict[str, Any]):
            pass

        watched = Watched()

        def observer(step: str, value: Any) -> Any:
            return watched if step == "namespace" else "ignored"

        def body() -> None:
            pass

        class Entries:
            def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
                return (int,)

        entries = Entries()
        made = _core.build_class_observed(observer, body, "C", entries)
        assert watched == {"__orig_bases__": (entries,)}
        assert "__orig_bases__" not in vars(made)

    def test_exception_goes_on(self) -> None:
        told = []

        def body() -> None:
            raise ZeroDivisionError("own")

        with pytest.raises(ZeroDivisionError, match="own") as raised:
            _core.build_class_observed(lambda *it: told.append(it), body, "C")
        assert told[-1] == ("error", raised.value)
        assert [it.tb_frame.f_code for it in tracebacks(raised.value)][-1] is body.__code__

    @pytest.mark.parametrize(
        "step", ["statement", "bases", "metaclass", "namespace", "body", "call", "class"]
    )
    def test_exception_of_its_own_ends_it(self, step: str) -> None:
        told = []

        def observer(what: str, value: Any) -> None:
            told.append(what)
            if what == step:
                raise ZeroDivisionError(step)

        with pytest.raises(ZeroDivisionError, match=step):
            _core.build_class_observed(observer, lambda: None, "C")
        assert told[-2:] == [step, "error"]

    def test_exception_about_an_exception(self) -> None:
        def observer(what: str, value: Any) -> None:
            if what == "error":
                raise KeyError("mine") from value

        with pytest.raises(KeyError, match="mine") as raised:
            _core.build_class_observed(observer, lambda: 1 / 0, "C")
        assert isinstance(raised.value.__cause__, ZeroDivisionError)

    def test_arguments(self) -> None:
        with pytest.raises(TypeError, match="build_class_observed: not enough arguments"):
            _core.build_class_observed()
        with pytest.raises(TypeError, match="__build_class__: not enough arguments"):
            _core.build_class_observed(print)
        with pytest.raises(TypeError, match="'int' object is not callable"):
            _core.build_class_observed(1, lambda: None, "C")


def tracebacks(error: BaseException) -> list[types.TracebackType]:
    found = []
    traceback = error.__traceback__
    while traceback:
        found.append(traceback)
        traceback = traceback.tb_next
    return found


def body_of(source: str) -> Any:
    """The function of the first class statement of a text."""
    code = compile(source, "program", "exec", dont_inherit=True)
    body = next(it for it in code.co_consts if isinstance(it, types.CodeType))
    return types.FunctionType(body, {"__name__": "program"})


class TestRunBody:
    def test_fills_the_namespace(self) -> None:
        namespace: dict[str, Any] = {"given": 1}
        result = run_body(body_of("class C:\n x = given\n del given"), namespace)
        assert result is None
        assert namespace.items() >= {"__module__": "program", "x": 1}.items()
        assert "given" not in namespace

    def test_returns_the_cell(self) -> None:
        namespace: dict[str, Any] = {}
        cell = run_body(body_of("class C:\n def m(self): return __class__"), namespace)
        assert isinstance(cell, types.CellType)
        assert namespace["__classcell__"] is cell
        cell.cell_contents = int
        assert namespace["m"](None) is int

    def test_any_mapping(self) -> None:
        class Own:
            def __init__(self) -> None:
                self.stored: dict[str, Any] = {}

            def __getitem__(self, name: str) -> Any:
                return self.stored[name]

            def __setitem__(self, name: str, value: Any) -> None:
                self.stored[name] = value

        own = Own()
        run_body(body_of("class C:\n x = len"), own)
        assert own.stored["x"] is len

    def test_function(self) -> None:
        x = 1

        def function(y: int = 2) -> tuple[int, int]:
            return x, y

        assert run_body(function, {}) == (1, 2)

    def test_errors(self) -> None:
        message = re.escape("run_body() argument 'function' must be a function, got <built-in")
        with pytest.raises(TypeError, match=message):
            run_body(len, {})
        with pytest.raises(TypeError, match="argument 'namespace' must be a mapping, got 1"):
            run_body(lambda: None, 1)
        for wrong in ([], [lambda: None], [lambda: None, {}, {}]):
            with pytest.raises(TypeError, match=f"run_body expected 2 arguments, got {len(wrong)}"):
                run_body(*wrong)
        with pytest.raises(ZeroDivisionError):
            run_body(lambda: 1 / 0, {})
