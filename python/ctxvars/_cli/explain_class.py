"""`python -m ctxvars explain-class`."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from ctxvars.classes import Trace, trace


def main(arguments: list[str]) -> int:
    """Run the command; return the exit status: 1 if the file raised an exception."""
    parser = argparse.ArgumentParser(
        prog="python -m ctxvars explain-class",
        description="Runs a file, and shows how its classes are created, step by step.",
    )
    parser.add_argument(
        "target",
        metavar="FILE[:NAME]",
        help="the file, and the name of one class (Outer.Inner, if it is inside another one)",
    )
    parser.add_argument(
        "--no-bytecode",
        dest="bytecode",
        action="store_false",
        help="leave out the bytecode of the body",
    )
    options = parser.parse_args(arguments)
    file, name = split(options.target)
    if not file.is_file():
        parser.error(f"there is no file {str(file)!r}")
    traced = run(file)
    if traced.error:
        report(traced.error, file)
    names = [each.qualname for outer in traced.classes for each in outer.nested()]
    if not name:
        show(traced.text(bytecode=options.bytecode) or f"{file} has run no class statement")
    elif any(name in (it, it.rpartition(".")[2]) for it in names):
        show(traced[name].text(bytecode=options.bytecode))
    else:
        known = f"there are {', '.join(names)}" if names else "there is none"
        parser.error(f"{file} has run no class statement of the name {name!r}: {known}")
    return 1 if traced.error else 0


def show(text: str) -> None:
    """Print a text, as far as it is read: `| head` closes the pipe after a few lines."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # At exit, the interpreter would try again to write the rest, and raise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(error: Exception, file: Path) -> None:
    """Print an exception as if Python had run the file: without the frames of ctxvars."""
    where = error.__traceback__
    while where and where.tb_frame.f_code.co_filename != os.path.abspath(file):
        where = where.tb_next
    traceback.print_exception(error.with_traceback(where), file=sys.stderr)


def split(target: str) -> tuple[Path, str]:
    """Split FILE[:NAME] into the file and the name, which may be empty."""
    file, colon, name = target.rpartition(":")
    if colon and not Path(target).is_file():
        return Path(file), name
    return Path(target), ""


def run(file: Path) -> Trace:
    """Run a file like an import, without writing its bytecode; trace the classes in it."""
    path = os.path.abspath(file)
    loader = SourceFileLoader(file.stem, path)
    module = ModuleType(file.stem)
    module.__file__ = path

    def execute() -> None:
        exec(loader.source_to_code(loader.get_data(path), path), vars(module))

    # For code that looks up the module of a class, and for imports from the same directory.
    sys.modules[file.stem] = module
    sys.path.insert(0, os.path.dirname(path))
    return trace(execute, filename=path)
