"""Runs a program on two modules, and compares its output."""

from __future__ import annotations

import contextvars
import gc
import logging
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

with suppress(ImportError):
    from greenlet._greenlet import enable_optional_cleanup  # type: ignore[import-untyped]

    # At the end of a thread, greenlet frees the main greenlet of that thread if `gc.get_referrers`
    # finds no reference to it. That function does not look at frozen objects, and `apart` freezes
    # objects: greenlet would free what is in use, and crash later.
    enable_optional_cleanup(False)

# The kind of a step, and its result.
Line = tuple[str, str]
ENDED = ("the program", "has ended")


class Difference(Exception):
    """The output of a program differs between two modules."""

    def __init__(self, program: str, modules: tuple[str, str], lines: tuple[Line, Line]) -> None:
        super().__init__(program, modules, lines)
        self.program = program
        self.modules = modules
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(
            f"{module}: {kind}: {ending}"
            for module, (kind, ending) in zip(self.modules, self.lines, strict=True)
        )


@contextmanager
def apart() -> Iterator[None]:
    """Isolate programs from the rest of the process.

    Existing objects are hidden from the garbage collector, which programs call often: visiting
    these objects would take long. The collector runs only when programs call it. Errors that cannot
    be caught are not reported, because programs cause them on purpose.
    """
    collects = gc.isenabled()
    hooks = sys.unraisablehook, threading.excepthook
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    logger = logging.getLogger("asyncio")
    disabled, logger.disabled = logger.disabled, True
    gc.disable()
    gc.freeze()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()
        sys.unraisablehook, threading.excepthook = hooks
        logger.disabled = disabled


def run(program: CodeType, module: str) -> list[Line]:
    """Return the lines that a program prints for a module."""
    lines: list[Line] = []

    def collect(kind: str, ending: str, sep: str) -> None:
        lines.append((kind, ending))

    namespace: dict[str, Any] = {"__name__": "program", "print": collect}
    arguments = sys.argv
    sys.argv = ["program", module]
    try:
        contextvars.Context().run(exec, program, namespace)
    except Exception as error:
        lines.append(("the program", f"raised {type(error).__name__}: {error}"))
    finally:
        sys.argv = arguments
    printed = list(lines)
    # A program that was cut short leaves threads waiting, which would outlive all other programs.
    for actor in namespace.get("actors", ()):
        if not actor.ended:
            actor.abandon()
    # Free the objects now: their finalizers must not run code during another run.
    del namespace
    gc.collect()
    return printed


def compare(source: str, modules: tuple[str, str]) -> list[Line]:
    """Run a program on two modules; return its output.

    Raises:
        Difference: the output differs between the modules.
    """
    program = compile(source, "<program>", "exec", dont_inherit=True)
    with apart():
        theirs, ours = (run(program, module) for module in modules)
    for lines in zip_longest(theirs, ours, fillvalue=ENDED):
        if lines[0] != lines[1]:
            raise Difference(source, modules, lines)
    return ours
