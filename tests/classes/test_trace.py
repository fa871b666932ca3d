"""`ctxvars.classes.trace` records what happens while classes are created, in order."""

from __future__ import annotations

import builtins
import dis
import functools
import subprocess
import sys
import threading
import types
from typing import Any

import pytest

from ctxvars.classes import ClassTrace, Step, Trace, trace
from tests.support.shapes import SHAPES

# Names that only some versions store.
OF_VERSIONS = {
    *["__firstlineno__", "__static_attributes__", "__annotate_func__", "__annotate__"],
    "__classdictcell__",
}


def told(traced: ClassTrace) -> list[Any]:
    """Return the steps in short form."""
    short: list[Any] = []
    for step in traced.steps:
        if isinstance(step, ClassTrace):
            short.append((step.name, told(step)))
        elif step.kind in ("store", "delete"):
            if step.name not in OF_VERSIONS:
                short.append((step.kind, step.name, step.line))
        elif step.kind in ("set_name", "init_subclass"):
            short.append((step.kind, step.name, step.derived))
        else:
            short.append(step.kind)
    return short


def stored(traced: ClassTrace) -> dict[str, Any]:
    return {step.name: step.value for step in traced.own("store")}


PLAIN = [
    "bases",
    "metaclass",
    "namespace",
    ("store", "__module__", 1),
    ("store", "__qualname__", 1),
    "body",
    "call",
    ("init_subclass", "object.__init_subclass__", True),
    "class",
]


def test_steps_in_order() -> None:
    traced = trace(SHAPES)
    assert traced.error is None
    assert [each.name for each in traced.classes] == ["Field", "Base", "Meta", "Point"]
    inner: list[Any] = list(PLAIN)
    inner[3:5] = [("store", "__module__", 18), ("store", "__qualname__", 18)]
    inner.insert(6, ("store", "__orig_bases__", None))
    assert told(traced["Point"]) == [
        "bases",
        "metaclass",
        "namespace",
        ("store", "__module__", 14),
        ("store", "__qualname__", 14),
        ("store", "x", 15),
        ("store", "y", 16),
        ("delete", "y", 17),
        ("Inner", inner),
        ("store", "Inner", 18),
        ("store", "z", 20),
        ("store", "method", 21),
        ("store", "__classcell__", told(traced["Point"])[12][2]),
        "body",
        "call",
        ("set_name", "x", False),
        ("set_name", "z", False),
        ("init_subclass", "Base.__init_subclass__", False),
        "class",
    ]


def test_values_of_steps() -> None:
    point = trace(SHAPES)["Point"]
    made = point.made
    steps = {step.kind: step for step in point.steps if isinstance(step, Step)}
    assert point.bases == steps["bases"].value == made.__bases__
    assert point.keywords == {"metaclass": type(made), "unit": "mm"}
    assert steps["metaclass"].value is type(made)
    # The metaclass gets the prepared namespace, with all stored names.
    namespace = steps["namespace"].value
    assert type(namespace) is dict
    assert steps["namespace"].name == "given"
    assert steps["call"].value is namespace
    assert namespace["x"] is stored(point)["x"] is vars(made)["x"]
    assert namespace["x"].name == "x"
    assert isinstance(steps["body"].value, types.CellType)
    assert steps["set_name"].value is vars(made)["z"]
    assert steps["init_subclass"].value == {"unit": "mm"}
    assert steps["class"].value is made
    assert made().method() is made


def test_offsets_are_of_the_storing_instructions() -> None:
    point = trace(SHAPES)["Point"]
    instructions = {it.offset: it for it in dis.get_instructions(point.body)}
    in_body = [step for step in (*point.own("store"), *point.own("delete")) if step.line]
    assert len(in_body) >= 8
    for step in in_body:
        assert step.offset is not None
        instruction = instructions[step.offset]
        assert instruction.opname in ("STORE_NAME", "DELETE_NAME", "SETUP_ANNOTATIONS")
        assert instruction.argval in (step.name, None)


def test_bases_that_name_others() -> None:
    text = """
class Entries:
    def __mro_entries__(self, bases): return (int, Base)
class Base: pass
entries = Entries()
class C(entries): pass
"""
    traced = trace(text)["C"]
    (resolved,) = traced.own("bases")
    assert resolved.value == traced.made.__bases__
    assert stored(traced)["__orig_bases__"] == traced.bases
    assert traced.made.__orig_bases__ == traced.bases


def test_metaclass_of_a_base() -> None:
    traced = trace("import abc\nclass A(abc.ABC): pass\nclass B(A): pass")["B"]
    (metaclass,) = traced.own("metaclass")
    assert metaclass.value is type(traced.made)
    # ABCMeta is written in Python, and calls `type.__new__`.
    assert told(traced)[-2:] == [("init_subclass", "object.__init_subclass__", True), "class"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="no __set_name__ in C: property's is new")
def test_calls_in_c_are_derived() -> None:
    text = """
class Field:
    def __set_name__(self, owner, name): pass
class C:
    a = Field()
    b = property(len)
    c = Field()
"""
    assert told(trace(text)["C"])[-5:] == [
        ("set_name", "a", False),
        ("set_name", "b", True),
        ("set_name", "c", False),
        ("init_subclass", "object.__init_subclass__", True),
        "class",
    ]


def test_functions_of_other_names_are_derived() -> None:
    text = """
class Field:
    __set_name__ = lambda self, owner, name: None
class Base:
    __init_subclass__ = classmethod(lambda cls, **kwds: None)
class C(Base, a=1):
    x = Field()
"""
    assert told(trace(text)["C"])[-3:] == [
        ("set_name", "x", True),
        ("init_subclass", "Base.<lambda>", True),
        "class",
    ]


def test_calls_of_all_signatures() -> None:
    text = """
class Any:
    def __set_name__(*args): pass
class Keywords:
    def __init_subclass__(cls, /, a=0, *, b=2, **rest):
        lambda: (cls, a, rest)
class C(Keywords, a=1, c=3):
    x = Any()
"""
    traced = trace(text)["C"]
    assert traced.error is None
    (set_name,) = traced.own("set_name")
    (init_subclass,) = traced.own("init_subclass")
    assert (set_name.name, set_name.value) == ("x", vars(traced.made)["x"])
    assert init_subclass.value == {"a": 1, "b": 2, "c": 3}


def test_super_calls_are_seen() -> None:
    text = """
class A:
    def __init_subclass__(cls): pass
class B(A):
    def __init_subclass__(cls): super().__init_subclass__()
class C(B): pass
"""
    names = [step.name for step in trace(text)["C"].own("init_subclass")]
    assert names == ["B.__init_subclass__", "A.__init_subclass__"]


def test_class_that_type_does_not_make_has_no_derived_calls() -> None:
    def make(name: str, bases: Any, namespace: Any) -> type:
        return int

    def statement() -> None:
        class C(metaclass=make):
            pass

    assert told(trace(statement)["C"])[-3:] == ["body", "call", "class"]
    assert trace(statement)["C"].made is int


ERRORS = {
    "bases": "class Wrong:\n def __mro_entries__(self, bases): 1 / 0\nclass C(Wrong()): pass",
    "metaclass": """
class A(type): pass
class B(type): pass
class MadeByA(metaclass=A): pass
class MadeByB(metaclass=B): pass
class C(MadeByA, MadeByB): pass
""",
    "namespace": """
class Wrong(type):
    def __prepare__(*args): 1 / 0
class C(metaclass=Wrong): pass
""",
    "body": "class C:\n x = 1\n 1 / 0",
    "call": """
class Wrong(type):
    def __new__(*args): 1 / 0
class C(metaclass=Wrong): pass
""",
    "set_name": """
class Wrong:
    def __set_name__(self, owner, name): 1 / 0
class C:
    x = Wrong()
    y = Wrong()
""",
    "init_subclass": """
class Wrong:
    def __init_subclass__(cls): 1 / 0
class C(Wrong): pass
""",
}
REACHED = {
    "bases": [],
    "metaclass": ["bases"],
    "namespace": ["bases", "metaclass"],
    "body": ["bases", "metaclass", "namespace", "store", "store", "store"],
    "call": ["bases", "metaclass", "namespace", "store", "store", "body", "call"],
}
REACHED["set_name"] = [*REACHED["body"], "store", "body", "call", "set_name"]
REACHED["init_subclass"] = [*REACHED["call"], "init_subclass"]


@pytest.mark.parametrize("step", ERRORS)
def test_exception_comes_last(step: str) -> None:
    traced = trace(ERRORS[step])
    steps = [
        it.kind for it in traced["C"].steps if isinstance(it, Step) and it.name not in OF_VERSIONS
    ]
    assert steps == [*REACHED[step], "error"]
    assert traced["C"].error is traced.error
    assert traced["C"].made is None
    assert isinstance(traced.error, ZeroDivisionError | TypeError | RuntimeError)
    assert f"raised {type(traced.error).__name__}: {traced.error}" in str(traced)


def test_profile_function_is_put_back() -> None:
    def profile(*event: Any) -> None:
        pass

    sys.setprofile(profile)
    try:
        trace("class A: pass")
        trace(ERRORS["init_subclass"])
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)


def test_a_function_that_creates_classes_is_traced() -> None:
    class Before:
        pass

    def function() -> type:
        class Inside(Before):
            pass

        return Inside

    traced = trace(function)
    assert traced.result is traced["Inside"].made
    assert (
        traced["Inside"].qualname
        == "test_a_function_that_creates_classes_is_traced.<locals>.function.<locals>.Inside"
    )
    assert traced["Inside"].bases == (Before,)


def test_body_of_a_class() -> None:
    code = next(
        it
        for it in compile("class C:\n x = given", "file", "exec").co_consts
        if isinstance(it, types.CodeType)
    )
    body = types.FunctionType(code, {"given": 3, "__name__": "module"})
    traced = trace(body)
    assert traced.result is traced["C"].made
    assert traced.result.x == 3
    assert told(traced["C"])[3:6] == [
        ("store", "__module__", 1),
        ("store", "__qualname__", 1),
        ("store", "x", 2),
    ]


def test_method_and_other_callables() -> None:
    assert trace(functools.partial(int, "3")).result == 3
    assert trace(functools.partial(int, "3")).classes == []


def test_other_threads_are_left_alone() -> None:
    inside, made = threading.Event(), threading.Event()
    classes = []

    def other() -> None:
        inside.wait(10)

        class Other:
            pass

        classes.append(Other)
        made.set()

    def function() -> None:
        inside.set()
        assert made.wait(10)

        class Own:
            pass

    thread = threading.Thread(target=other)
    thread.start()
    traced = trace(function)
    thread.join()
    assert traced.error is None
    assert [each.name for each in traced.classes] == ["Own"]
    assert len(classes) == 1


def test_threads_trace_at_the_same_time() -> None:
    barrier = threading.Barrier(2, timeout=10)
    original = builtins.__build_class__
    traces: dict[str, Trace] = {}

    def function() -> None:
        barrier.wait()

        class Own:
            barrier.wait()
            name = threading.current_thread().name

        barrier.wait()

    def work() -> None:
        traces[threading.current_thread().name] = trace(function)

    threads = [threading.Thread(target=work, name=name) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: stored(it["Own"])["name"] for name, it in traces.items()} == {"a": "a", "b": "b"}
    assert builtins.__build_class__ is original


def test_trace_inside_a_trace() -> None:
    original = builtins.__build_class__
    text = """
from ctxvars.classes import trace
class Outer:
    inner = trace("class Inner: pass")
    class Nested: pass
"""
    outer = trace(text)["Outer"]
    assert [it.name for it in outer.nested()] == ["Outer", "Nested"]
    assert [it.name for it in stored(outer)["inner"].classes] == ["Inner"]
    assert builtins.__build_class__ is original


def test_file_name_chooses() -> None:
    def function() -> None:
        class Here:
            exec(compile("class There:\n class Further: pass", "there.py", "exec"))

    names = [it.name for it in trace(function, filename="there.py").classes]
    assert names == ["There"]
    assert [it.name for it in trace(function)["Here"].nested()] == ["Here", "There", "Further"]
    # Only the classes of the text are recorded.
    traced = trace("exec('class Other: pass')\nclass Own: pass", filename="own.py")
    assert [it.name for it in traced.classes] == ["Own"]
    assert traced["Own"].body.__code__.co_filename == "own.py"


def test_locals_pass_all_on() -> None:
    text = """
class Namespace(dict):
    def extra(self): return "extra"
class Meta(type):
    def __prepare__(*args): return Namespace(given=1)
class C(metaclass=Meta):
    vars()["x"] = 1
    locals().update(y=2)
    contents = "given" in locals(), len(locals()) > 3, sorted(locals())[-2:], locals().extra()
    gone = 1
    locals().pop("gone")
"""
    traced = trace(text)
    assert traced.error is None
    made = traced["C"].made
    assert (made.x, made.y) == (1, 2)
    assert made.contents == (True, True, ["x", "y"], "extra")
    lines = {step.name: step.line for step in traced["C"].own("store")}
    assert (lines["x"], lines["y"], lines["gone"]) == (7, 8, 10)
    (deleted,) = traced["C"].own("delete")
    assert (deleted.name, deleted.line) == ("gone", 11)


def test_mapping_without_a_length() -> None:
    text = """
class Mapping:
    def __init__(self): self.items = {}
    def __getitem__(self, name): return self.items[name]
    def __setitem__(self, name, value): self.items[name] = value
class Meta(type):
    def __prepare__(*args): return Mapping()
    def __new__(mcs, name, bases, namespace): return type(name, bases, namespace.items)
class C(metaclass=Meta):
    x = len
"""
    traced = trace(text)
    assert traced.error is None
    assert traced["C"].made.x is len
    assert "namespace: Mapping" in str(traced["C"])


def test_same_classes_as_without() -> None:
    text = """
import dataclasses, enum, typing
class Colour(enum.Enum):
    RED = enum.auto()
    GREEN = enum.auto()
class Pair(typing.NamedTuple):
    a: int
    b: str = "b"
@dataclasses.dataclass
class Data(typing.Generic[typing.TypeVar("T")]):
    a: int
    b: list = dataclasses.field(default_factory=list)
result = list(Colour), Pair(1), Data(1), Data.__parameters__
"""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(text, namespace)
    traced = trace(text + "class Result:\n    kept = result")
    assert traced.error is None
    assert repr(stored(traced["Result"])["kept"]) == repr(namespace["result"])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"trace\(\) takes a function or a text, got 1"):
        trace(1)  # type: ignore[arg-type]
    with pytest.raises(SyntaxError):
        trace("class")
    with pytest.raises(KeyError, match="Missing"):
        trace("class C: pass")["Missing"]
    error = trace(lambda: 1 / 0).error
    assert isinstance(error, ZeroDivisionError)
    with pytest.raises(SystemExit):
        trace("raise SystemExit")
    assert isinstance(builtins.__build_class__, types.BuiltinFunctionType)


def test_the_tree_shows_each_step() -> None:
    text = """
class Field:
    def __set_name__(self, owner, name): pass
class Base:
    def __init_subclass__(cls, unit): pass
class C(Base, unit="mm"):
    x = Field()
    class Inner:
        for i in range(2):
            pass
    del x
"""
    lines = trace(text)["C"].text(bytecode=False).splitlines()
    kept = [line for line in lines if not any(name in line for name in OF_VERSIONS)]
    assert (
        kept
        == """\
class C(Base, unit='mm'), line 6
├─ bases: Base
├─ metaclass: type
├─ namespace: dict
├─ body
│  ├─ line 6: __module__ = '__main__'
│  ├─ line 6: __qualname__ = 'C'
│  ├─ line 7: x = <__main__.Field object>
│  ├─ class Inner(), line 8
│  │  ├─ bases: none
│  │  ├─ metaclass: type
│  │  ├─ namespace: dict
│  │  ├─ body
│  │  │  ├─ line 8: __module__ = '__main__'
│  │  │  ├─ line 8: __qualname__ = 'C.Inner'
│  │  │  ├─ line 9: i = 0
│  │  │  ├─ line 9: i = 1
│  │  │  └─ returns None
│  │  ├─ call of type
│  │  │  └─ object.__init_subclass__(), by the rule
│  │  └─ class: C.Inner
│  ├─ line 8: Inner = C.Inner
│  ├─ line 11: del x
│  └─ returns None
├─ call of type
│  └─ Base.__init_subclass__(unit='mm')
└─ class: C""".splitlines()
    )


def test_tree_shows_each_instruction_once() -> None:
    traced = trace("class C:\n for i in range(3):\n  x = i\n y = 1")["C"]
    lines = traced.text().splitlines()
    names = [it.opname for it in dis.get_instructions(traced.body)]
    for name in set(names) - {"STORE_NAME"}:
        assert sum(f"  {name}" in line for line in lines) == names.count(name), name
    # But an instruction that stores again is shown beside its name.
    (again,) = [line for line in lines if "x = 2" in line]
    assert again.split() == ["│", "├─", "line", "3:", "x", "=", "2", "STORE_NAME", "x"]


def test_tree_of_what_cannot_be_shown() -> None:
    text = """
class Odd:
    def __repr__(self): 1 / 0
class C:
    x = Odd()
    y = "long" * 100
"""
    traced = trace(text)["C"].text(bytecode=False)
    assert "line 5: x = <__main__.Odd object>" in traced
    assert max(map(len, traced.splitlines())) < 80


def test_not_imported_with_the_package() -> None:
    code = "import ctxvars, sys; print([name for name in sys.modules if 'class' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
