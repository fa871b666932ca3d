"""The fuzzer of class statements finds faults at each step of creating a class."""

from __future__ import annotations

import builtins
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ctxvars import _core
from ctxvars.fuzz.campaign import search
from ctxvars.fuzz.machine import Watch
from ctxvars.fuzz.subjects import SUBJECTS

# How many programs hypothesis may try to find a smaller one.
TRIES = 20

# Programs leave coroutines and classes behind, and some of these warn when they are freed.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def forgets_written_bases(func: Any, name: str, *bases: Any, **keywords: Any) -> Any:
    return builtins.__build_class__(func, name, *types.resolve_bases(bases), **keywords)


def loses_keywords(func: Any, name: str, *bases: Any, **keywords: Any) -> Any:
    kept = {key: value for key, value in keywords.items() if key == "metaclass"}
    return builtins.__build_class__(func, name, *bases, **kept)


def runs_body_over_another_namespace(*arguments: Any, **keywords: Any) -> Any:
    def observer(step: str, value: Any) -> Any:
        return {} if step == "namespace" else None

    return _core.build_class_observed(observer, *arguments, **keywords)


def does_not_look_into_the_cell(func: Any, name: str, *bases: Any, **keywords: Any) -> Any:
    try:
        return builtins.__build_class__(func, name, *bases, **keywords)
    except RuntimeError as error:
        if "__class__ not set" not in str(error):
            raise
        return type(name, (), {})


def takes_the_first_metaclass(func: Any, name: str, *bases: Any, **keywords: Any) -> Any:
    try:
        return builtins.__build_class__(func, name, *bases, **keywords)
    except TypeError as error:
        if "metaclass conflict" not in str(error):
            raise
        return builtins.__build_class__(func, name, bases[0])


def build_class_with(fault: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with a fault that shows only if a class is created: messages are right."""

    def build_class(*arguments: Any, **keywords: Any) -> Any:
        match arguments:
            case (types.FunctionType(), str(), *_):
                return fault(*arguments, **keywords)
        return builtins.__build_class__(*arguments, **keywords)

    return build_class


FAULTS = [
    forgets_written_bases,
    loses_keywords,
    runs_body_over_another_namespace,
    does_not_look_into_the_cell,
    takes_the_first_metaclass,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_is_found_and_runs_by_itself(
    fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faulty = ModuleType("faulty")
    vars(faulty)["build_class"] = build_class_with(fault)
    monkeypatch.setitem(sys.modules, "faulty", faulty)
    against = SUBJECTS["classes"].against
    difference = search("classes", (against, "faulty"), 0, 2000, Watch(), TRIES)
    assert difference is not None
    assert difference.lines[0] != difference.lines[1]
    # Statements without influence on the difference have been removed.
    assert difference.program.count("\nclass_") + difference.program.count(" = step(") < 6
    script = tmp_path / "program.py"
    script.write_text(difference.program)
    line = [sys.executable, script, against]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    kind, ending = difference.lines[0]
    assert f"{kind}: {ending}" in done.stdout
