"""`build_class` does what the interpreter's own `__build_class__` does, case by case.

Each case is a program that is run twice, with either function as the `__build_class__` of its class
statements. What it logs and raises is compared: types, messages, notes, causes, and the functions
that a traceback passes through.
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
from tests.support.class_statements import CASES, PRELUDE


class Run:
    """A run of a program: the texts that it logs and raises, without addresses."""

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
def test_programs_do_what_they_do_with_the_interpreter(case: str) -> None:
    theirs, ours = Run(case, builtins.__build_class__), Run(case, build_class)
    assert ours.said == theirs.said
    # A case that neither logs nor raises would show nothing.
    assert ours.said


@pytest.mark.parametrize("case", CASES)
def test_observed_programs_do_what_they_do_with_the_interpreter(case: str) -> None:
    told = []

    def observer(step: str, value: Any) -> None:
        told.append(step)

    # No Python function is called in between, as in a trace.
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
def test_class_statements_leak_no_objects(case: str, ours: Any) -> None:
    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    def growth(build: Any) -> int:
        counts = [objects()]
        for _ in range(3):
            Run(case, build)
            Run(case, build)
            counts.append(objects())
        # Occasional growth is due to caches. A leak grows each time.
        return min(after - before for before, after in pairwise(counts))

    gc.freeze()
    try:
        growth(ours)
        left, usual = growth(ours), growth(builtins.__build_class__)
    finally:
        gc.unfreeze()
    # The caches of `typing` keep each class that was generic over something.
    assert left <= max(usual, 0)


def test_references_to_arguments_are_released() -> None:
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
