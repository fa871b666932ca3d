"""`python -m ctxvars explain-class`."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from importlib.machinery import SourceFileLoader
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType

from ctxvars._cli.usage import drop_output
from ctxvars.classes import Trace, trace
from ctxvars.classes._words import error_words


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
    parser.add_argument(
        "-o",
        "--output",
        metavar="PAGE",
        help="write an HTML page that shows one step at a time; - is the standard output",
    )
    options = parser.parse_args(arguments)
    file, name = split(options.target)
    if not file.is_file():
        parser.error(f"there is no file {str(file)!r}")
    # The file may change the directory.
    output = Path(options.output).absolute() if options.output not in (None, "-") else None
    if output and (problem := problem_of(output, file)):
        parser.error(f"cannot write {options.output!r}: {problem}")
    with output_of_file(options.output):
        traced, source = run(file)
    if traced.error:
        report(traced.error, file)
    names = [each.qualname for outer in traced.classes for each in outer.nested()]
    if name and not any(name in (it, it.rpartition(".")[2]) for it in names):
        known = f"there are {', '.join(names)}" if names else "there is none"
        parser.error(f"{file} has run no class statement of the name {name!r}: {known}")
    classes = [traced[name]] if name else traced.classes
    if options.output is None:
        texts = [each.text(bytecode=options.bytecode) for each in classes]
        show("\n\n".join(texts) or f"{file} has run no class statement")
    elif not classes:
        parser.error(f"{file} has run no class statement: there is no step to show")
    else:
        from ctxvars._pages.class_creation import class_page

        text = decode_source(source)
        error = error_words(traced.error) if traced.error else ""
        # It calls `__repr__` methods of the file.
        with output_of_file(options.output):
            page = class_page(file.name, text, classes, bytecode=options.bytecode, error=error)
        if output is None:
            show(page)
        else:
            try:
                output.write_text(page, encoding="ascii")
            except OSError as failed:
                parser.error(f"cannot write {options.output!r}: {failed.strerror}")
    return 1 if traced.error else 0


def problem_of(output: Path, file: Path) -> str:
    """Return why a page cannot be written, before the file runs; or an empty string."""
    if output.is_dir():
        return "it is a directory"
    if not output.parent.is_dir():
        return "its directory does not exist"
    if output.exists() and output.samefile(file):
        return "it is the file to explain"
    return ""


def output_of_file(page: str | None) -> AbstractContextManager[object]:
    """Redirect the output of the file to standard error, if the page goes to standard output."""
    return redirect_stdout(sys.stderr) if page == "-" else nullcontext()


def show(text: str) -> None:
    """Print a text, as far as it is read: `| head` closes the pipe after a few lines."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        drop_output()


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


def run(file: Path) -> tuple[Trace, bytes]:
    """Run a file like an import, without writing its bytecode; trace the classes in it.

    Returns:
        The trace, and the source.
    """
    path = os.path.abspath(file)
    loader = SourceFileLoader(file.stem, path)
    module = ModuleType(file.stem)
    module.__file__ = path

    source = b""

    def execute() -> None:
        nonlocal source
        source = loader.get_data(path)
        exec(loader.source_to_code(source, path), vars(module))

    # For code that looks up the module of a class, and for imports from the same directory.
    sys.modules[file.stem] = module
    sys.path.insert(0, os.path.dirname(path))
    return trace(execute, filename=path), source
