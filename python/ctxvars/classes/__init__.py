"""Class creation, step by step.

A `class` statement compiles its body to a function and calls `__build_class__` with it.
`build_class` does the same as `__build_class__`. `run_body` is its step that runs the body. `trace`
records all steps. See `docs/explanation/class-creation.md`.
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
    """Record the steps in which classes are created.

    The classes are really created: class statements call `build_class` with an observer. Calls of
    `__set_name__` and `__init_subclass__` are recorded if these are Python functions. For functions
    in C, the trace has a step marked `derived`, at the place where `type.__new__` calls them. The
    cost is that of creating the classes, plus O(1) for each step and call.

    Args:
        function_or_source: the text of a program, which is run; a function to call without
            arguments; or the function of the body of a class, which is used to create a class. For
            a program, the class statements of its text are recorded; for a function, all class
            statements that the thread executes.
        filename: the file name to compile the text with (by default "<source>"). Class statements
            of other files are not recorded.

    Returns:
        The classes, the result, and the exception if the program or function raised one.

    Raises:
        TypeError: the argument is neither a function nor text.
        SyntaxError: the text is not a valid program.

    While the body runs, `locals()` is a mapping that forwards to the namespace, not the namespace
    itself. While the metaclass is called, other profile functions are not.

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
            # The function that class statements call at present.
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
    """Whether a function is the body of a class: only bodies lack the flag for new locals."""
    return isinstance(function, FunctionType) and not function.__code__.co_flags & CO_NEWLOCALS
