"""The command line, `python -m ctxvars`.

`run` puts the shim in place of the standard library's `contextvars`, then runs a program in this
process as Python itself would have run it:

* What `run` needs before the program starts must not import `contextvars`, or the program would
  find the standard library's names in the modules concerned. So this module imports next to
  nothing, and another command imports what it needs in its own branch of `main`.
* Contexts stay those of the interpreter, which show our variables then (see `shim`).
* The program gets the real `__main__` module, `sys.argv`, `sys.path` and the exit of the
  interpreter. An exception leaves through our frames, which are then kept out of what is printed.

What a program can tell from plain Python: our frames lie below its own (`sys._getframe`, a
`stacklevel` that reaches below the program, the depth of a `RecursionError`); a `sys.excepthook`
that raises shows one of them; a source file that does not decode or holds a null byte is refused in
the words used for an imported module; `-` reads standard input to its end, also from a terminal;
Python's own option `-x` does nothing.
"""

from __future__ import annotations

import io
import marshal
import os
import runpy
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, NoReturn

from ctxvars import __version__
from ctxvars._cli import shim

if TYPE_CHECKING:
    from types import CodeType, TracebackType

_HELP = """\
usage: python -m ctxvars run PROGRAM [ARGS...]
       python -m ctxvars run -m MODULE [ARGS...]
       python -m ctxvars run -c CODE [ARGS...]
       python -m ctxvars fuzz [--help | OPTIONS...]
       python -m ctxvars explain-class [--help | OPTIONS...] FILE[:NAME]
       python -m ctxvars --help | --version

run: runs a program with ctxvars in place of the standard library's contextvars.

PROGRAM is whatever Python takes: a source or compiled file, a directory or zip file with a
__main__.py, or - for standard input. What follows it belongs to the program. Options for Python
itself go before -m: python -X dev -m ctxvars run PROGRAM.

The replacement holds for the process and its forks. An interpreter that the program starts
afresh (subprocess, or multiprocessing by "spawn" or "forkserver") has the standard library's.

fuzz: makes up programs, and compares what they do on ctxvars and on the standard library. It needs
the extra `cli`.

explain-class: runs a file, and shows how its classes came to be, step by step.
"""


def main() -> None:
    """Carry out the command in `sys.argv`.

    Returns only when a command succeeded, without raising `SystemExit(0)`: `python -i` would
    report that one.
    """
    match sys.argv[1:]:
        case ["run", *arguments]:
            _run(arguments)
        case ["fuzz", *arguments]:
            _fuzz(arguments)
        case ["explain-class", *arguments]:
            _explain_class(arguments)
        case ["-h" | "--help"]:
            print(_HELP, end="")
        case ["--version"]:
            print("ctxvars", __version__)
        case []:
            _refuse("a command is missing")
        case [command, *_]:
            _refuse(f"there is no command {command!r}")


def _refuse(problem: str) -> NoReturn:
    print(
        f"python -m ctxvars: {problem}; `python -m ctxvars --help` shows what there is",
        file=sys.stderr,
    )
    sys.exit(2)


def _fuzz(arguments: list[str]) -> None:
    try:
        from ctxvars.fuzz.command import main
    except ImportError as error:
        _refuse(f"fuzz: {error.name} is not installed: pip install 'ctxvars[cli]'")
    if status := main(arguments):
        sys.exit(status)


def _explain_class(arguments: list[str]) -> None:
    from ctxvars._cli.explain_class import main

    if status := main(arguments):
        sys.exit(status)


def _run(arguments: list[str]) -> None:
    option: str
    match arguments:
        case ["-h" | "--help", *_]:
            print(_HELP, end="")
            return
        case []:
            _refuse("run: PROGRAM, -m MODULE or -c CODE is missing")
        case ["-c" | "-m" as option]:
            _refuse(f"run: the argument of {option} is missing")
        case ["-c" | "-m" as option, value, *rest]:
            pass
        case [attached, *rest] if attached.startswith(("-c", "-m")):
            option, value = attached[:2], attached[2:]
        case [unknown, *_] if unknown.startswith("-") and unknown != "-":
            _refuse(f"run: no option {unknown} here; options for Python itself go before -m")
        case [value, *rest]:
            option = ""
    sys.argv[:] = [option or value, *rest]
    shim.install()
    _reset_main()
    try:
        if option == "-c":
            _run_command(value)
        elif option == "-m":
            runpy._run_module_as_main(value)  # type: ignore[attr-defined]
        elif value == "-":
            _run_stdin()
        else:
            # Python takes the absolute path, and leaves "." and ".." in it.
            path = os.path.join(os.getcwd(), value)
            (_run_directory if _is_importable(path) else _run_file)(path)
    except BaseException as error:
        # An exit is reported only by `python -i`.
        if not isinstance(error, SystemExit) or sys.flags.inspect:
            _report_without_our_frames(error.__traceback__)
        raise


def _reset_main() -> None:
    """Leave in `__main__` what it holds before Python starts a program."""
    namespace = sys.modules["__main__"].__dict__
    initial: dict[str, object] = {
        "__name__": "__main__",
        "__doc__": None,
        "__package__": None,
        "__loader__": BuiltinImporter,
        "__spec__": None,
    }
    for name in namespace.keys() - initial.keys() - {"__annotations__", "__builtins__"}:
        del namespace[name]
    namespace.update(initial)


def _set_first_path(path: str) -> None:
    """Set the entry of `sys.path` that Python derives from the program; `-P` and `-I` omit it."""
    if not sys.flags.safe_path:
        sys.path[0] = path


def _run_command(source: str) -> None:
    _set_first_path("")
    if sys.version_info >= (3, 14) and source[:1].isspace():
        from textwrap import dedent

        source = dedent(source)
    source += "\n"
    code = compile(source, "<string>", "exec", dont_inherit=True)
    if sys.version_info >= (3, 13):
        # As Python does, so that tracebacks show the lines. The first releases of 3.13 look them
        # up by file name, the others by code object.
        import linecache

        key = code if hasattr(linecache, "_interactive_cache") else "<string>"
        linecache._register_code(key, source, "<string>")  # type: ignore[attr-defined]
    exec(code, sys.modules["__main__"].__dict__)


def _run_stdin() -> None:
    _set_first_path("")
    code = compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True)
    _execute_file(code, "<stdin>", BuiltinImporter)


def _run_directory(path: str) -> None:
    """Run the `__main__.py` of a directory or a zip file."""
    if sys.flags.safe_path:
        # Python puts this entry on `sys.path` regardless, or could not find the program.
        sys.path.insert(0, path)
    _set_first_path(path)
    runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]


def _is_importable(path: str) -> bool:
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _run_file(path: str) -> None:
    try:
        with io.open_code(path) as file:
            content = file.read()
    except OSError as error:
        problem = f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}"
        print(f"{sys.orig_argv[0]}: {problem}", file=sys.stderr)
        sys.exit(2)
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    if content.startswith(MAGIC_NUMBER):
        code = marshal.loads(memoryview(content)[16:])
        _execute_file(code, path, SourcelessFileLoader("__main__", path))
    elif path.endswith(".pyc"):
        raise RuntimeError("Bad magic number in .pyc file")
    else:
        code = compile(content, path, "exec", dont_inherit=True)
        _execute_file(code, path, SourceFileLoader("__main__", path))


def _execute_file(code: CodeType, path: str, loader: object) -> None:
    namespace = sys.modules["__main__"].__dict__
    namespace["__loader__"] = loader
    namespace["__file__"] = path
    if sys.version_info < (3, 15):
        namespace["__cached__"] = None
    try:
        exec(code, namespace)
    finally:
        # Python takes these names back when the program ends; older releases first report an
        # exception, and leave them after an exit. There they stay for whoever reports it.
        if sys.version_info >= (3, 14) or sys.exception() is None:
            namespace.pop("__file__", None)
            namespace.pop("__cached__", None)


def _report_without_our_frames(traceback: TracebackType | None) -> None:
    """Have the exception that is leaving us reported as if the program had been started by Python.

    Every frame that the exception still leaves would be shown above the program's own. So the
    traceback is put right at the last moment, in the hook that the interpreter calls after that.
    """
    while traceback is not None and traceback.tb_frame.f_globals is globals():
        traceback = traceback.tb_next
    excepthook = getattr(sys, "excepthook", sys.__excepthook__)

    def report(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        sys.excepthook = excepthook
        sys.last_traceback = traceback
        excepthook(kind, error.with_traceback(traceback), traceback)

    sys.excepthook = report
