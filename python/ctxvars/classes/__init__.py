"""Class creation, and its steps.

A `class` statement compiles its body to a function and calls `__build_class__` with it.
`build_class` is that function, `run_body` the step of it that runs the body, and `trace` shows what
happens. Described in `docs/explanation/class-creation.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import CO_NEWLOCALS
from types import FunctionType
from typing import Any

from ctxvars._core import build_class, run_body
from ctxvars.classes._recorder import Recorder, recording
from ctxvars.classes._trace import ClassTrace, Step, Trace

__all__ = ["ClassTrace", "Step", "Trace", "build_class", "run_body", "trace"]

for _function in (build_class, run_body):
    _function.__module__ = __name__


def trace(function_or_source: Callable[[], Any] | str, /, *, filename: str | None = None) -> Trace:
    """Record what happens while classes are created.

    The trace is taken of the real thing: class statements call `build_class`, with an observer.
    What is recorded of `__set_name__` and `__init_subclass__` are the calls of Python functions of
    these names; where `type.__new__` calls one in C, the rule says that it does, and the step is
    marked `derived`. Takes as long as creating the classes, and O(1) more for each step and call.

    Args:
        function_or_source: the text of a program, which is run as one; a function to call without
            arguments; or the function of the body of a class, with which a class is created. In the
            first case the class statements of the text are recorded, in the second all that this
            thread comes to.
        filename: what the text is compiled as (by default "<source>"). Class statements of other
            files are left out.

    Returns:
        The classes, the result, and the exception if the program or function raised one.

    Raises:
        TypeError: it is neither a function nor text.
        SyntaxError: the text is no program.

    While the body runs, `locals()` is a mapping that passes all on to the namespace, not the
    namespace itself; while the metaclass is called, no other profile function is.

    Source: the language reference, 3.3.3, "Customizing class creation".

    >>> made = trace("class C:\\n    x = 1")["C"]
    >>> [(step.name, step.value, step.line) for step in made.own("store") if step.name == "x"]
    [('x', 1, 2)]
    >>> made.made.x
    1
    """
    result = Trace()
    if isinstance(function_or_source, str):
        filename = filename or "<source>"
        code = compile(function_or_source, filename, "exec", dont_inherit=True)
        namespace = {"__name__": "__main__"}

        def run() -> Any:
            exec(code, namespace)

    elif is_body(function_or_source):
        body: Any = function_or_source

        def run() -> Any:
            # What class statements call for the time being.
            return __build_class__(body, body.__name__)

    elif callable(function_or_source):
        run = function_or_source
    else:
        raise TypeError(f"trace() takes a function or a text, got {function_or_source!r}")
    with recording(Recorder(result, filename)):
        try:
            result.result = run()
        except Exception as error:
            result.error = error
    return result


def is_body(function: object) -> bool:
    """Whether it is the body of a class: the locals of all other functions are new."""
    return isinstance(function, FunctionType) and not function.__code__.co_flags & CO_NEWLOCALS
