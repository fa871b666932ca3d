"""`python -m ctxvars trace`: runs a program like `run`, and records its context variables.

The recording is written by the last function of `atexit`, when the threads of the program have
ended, and by a handler for SIGTERM. Like `run`, this module imports next to nothing before the
program starts.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, NamedTuple

from ctxvars import _core
from ctxvars._cli import shim
from ctxvars._cli.run import execute, parse
from ctxvars._cli.usage import HELP, drop_output, refuse

if TYPE_CHECKING:
    from types import FrameType

    from ctxvars._core import ContextVar

OUTPUTS = ("-o", "--output")


class Options(NamedTuple):
    output: str
    capacity: int
    values: bool
    program: tuple[str, str, list[str]]


def trace(arguments: list[str]) -> None:
    """Run the command."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(HELP, end="")
        return
    options = read(arguments)
    shim.install()
    _core.set_missing_hook(note_missing)
    _core.start_recording(options.capacity, options.values)
    output = Output(options)
    # The functions that the program registers run before this one.
    atexit.register(output.write)
    # An ignored signal, as under nohup, stays ignored.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, output.on_signal)
    try:
        execute(*options.program)
    except KeyboardInterrupt as error:
        output.is_interrupted = type(error) is KeyboardInterrupt
        raise


def note_missing(variable: ContextVar[Any], error: LookupError) -> None:
    """Explain the first `LookupError` of `get`, and then the next ones."""
    # Not imported before the program.
    from ctxvars._diagnosis.why import MissingNotes

    notes = MissingNotes()
    notes.add(variable, error, sys._getframe(1))
    _core.set_missing_hook(notes)


def read(arguments: list[str]) -> Options:
    """Return the options, or refuse them."""
    output, capacity, values = "", 65_536, False
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        name, equals, value = rest[0].partition("=")
        if name == "--values" and not equals:
            values = True
        elif name in (*OUTPUTS, "--capacity"):
            if not equals and len(rest) < 2:
                refuse(f"trace: the argument of {name} is missing")
            value = value if equals else rest.pop(1)
            if name in OUTPUTS:
                output = value
            elif value.isdecimal() and 0 < int(value) <= 2**32:
                capacity = int(value)
            else:
                refuse(f"trace: --capacity must be a number of events, got {value!r}")
        else:
            break
        rest.pop(0)
    if not output and len(rest) > 2 and rest[-2] in OUTPUTS:
        output = rest.pop()
        rest.pop()
    program = parse("trace", rest)
    if output in ("", "-"):
        # Not imported before the program: its modules import `contextvars`.
        if PathFinder.find_spec("rich") is None:
            refuse("trace: rich is not installed: pip install 'ctxvars[cli]', or write to a file")
    elif problem := problem_of(output, program[1]):
        refuse(f"trace: cannot write {output!r}: {problem}")
    return Options(output or "-", capacity, values, program)


def problem_of(output: str, program: str) -> str:
    """Return why the output cannot be written, before the program runs; or an empty string."""
    if not output.endswith((".html", ".json")):
        return "its name must end in .html or .json"
    if os.path.isdir(output):
        return "it is a directory"
    if not os.path.isdir(os.path.dirname(output) or "."):
        return "its directory does not exist"
    if os.path.exists(program) and os.path.exists(output) and os.path.samefile(output, program):
        return "it is the program"
    return ""


class Output:
    """Writes the recording, once, and in this process only."""

    def __init__(self, options: Options) -> None:
        # The program may change the directory and `sys.argv`.
        self._path = options.output if options.output == "-" else os.path.abspath(options.output)
        option, value, rest = options.program
        self._program = (*((option,) if option else ()), value, *rest)
        self._process = os.getpid()
        self._is_begun = False
        self.is_interrupted = False

    def write(self) -> None:
        """Stop recording, and write; print why if that fails."""
        if self._is_begun or os.getpid() != self._process:
            return
        self._is_begun = True
        _core.stop_recording()
        try:
            from ctxvars._recording.record import finished

            finished(self._program).save(self._path)
        except BrokenPipeError:
            drop_output()
        except Exception as error:
            words = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            print(f"python -m ctxvars: trace: cannot write: {words}", file=sys.__stderr__)
        if self.is_interrupted:
            # The interpreter dies of SIGINT if the code that it has run last has been interrupted.
            # By now, that is the code that `dataclasses` has run.
            from contextlib import suppress

            with suppress(KeyboardInterrupt):
                exec("raise KeyboardInterrupt")

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Write, and die of the signal."""
        if self._is_begun and os.getpid() == self._process:
            # The process is exiting, and waits for the file only.
            return
        self.write()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
