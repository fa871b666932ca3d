"""`python -m ctxvars run`: runs a program with the shim in place of `contextvars`.

The program runs in this process, as Python itself would have run it:

* Modules that are imported before the program starts must not import `contextvars`: the program
  would find the names of the standard library in them. So this module imports next to nothing.
* Contexts stay native, and are extended to show the variables of ctxvars (see `shim.py`).
* The program has the real `__main__` module, `sys.argv` and `sys.path`, and the interpreter exits
  as usual. An exception passes through the frames of this module, which are removed from the
  printed traceback.

A program can see these differences from plain Python: below its own frames are those of ctxvars
(`sys._getframe`, a `stacklevel` that reaches below the program, the depth of a `RecursionError`). A
`sys.excepthook` that raises shows one of them. A source file that does not decode, or that contains
a null byte, is refused with the message for an imported module. `-` reads standard input to its
end, also from a terminal. Python's own option `-x` has no effect.
"""

from __future__ import annotations

import io
import marshal
import os
import runpy
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING

from ctxvars._cli import shim
from ctxvars._cli.usage import HELP, refuse

if TYPE_CHECKING:
    from types import CodeType, TracebackType


def run(arguments: list[str]) -> None:
    """Run a program with the shim in place of `contextvars`."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(HELP, end="")
    else:
        program = parse("run", arguments)
        shim.install()
        execute(*program)


def parse(command: str, arguments: list[str]) -> tuple[str, str, list[str]]:
    """Return the option of a program (`-c`, `-m` or none), the program, and its arguments."""
    option: str
    match arguments:
        case []:
            refuse(f"{command}: PROGRAM, -m MODULE or -c CODE is missing")
        case ["-c" | "-m" as option]:
            refuse(f"{command}: the argument of {option} is missing")
        case ["-c" | "-m" as option, value, *rest]:
            return option, value, rest
        case [attached, *rest] if attached.startswith(("-c", "-m")):
            return attached[:2], attached[2:], rest
        case [unknown, *_] if unknown.startswith("-") and unknown != "-":
            refuse(f"{command}: no option {unknown} here; options for Python itself go before -m")
        case [value, *rest]:
            return "", value, rest
    raise AssertionError(arguments)


def execute(option: str, value: str, rest: list[str]) -> None:
    """Run the program that `parse` returns."""
    sys.argv[:] = [option or value, *rest]
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
        # Only `python -i` reports an exit.
        if not isinstance(error, SystemExit) or sys.flags.inspect:
            _report_without_frames_of_ctxvars(error.__traceback__)
        raise


def _reset_main() -> None:
    """Reset the namespace of `__main__` to the state before Python starts a program."""
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
    """Set the entry of `sys.path` for the program; `-P` and `-I` omit it."""
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
        # Python adds this entry to `sys.path` even then: otherwise it could not find the program.
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
        # Python deletes these names when the program ends. Before 3.14, it first reports an
        # exception, whose hook may use the names, and does not delete them after an exit.
        if sys.version_info >= (3, 14) or sys.exception() is None:
            namespace.pop("__file__", None)
            namespace.pop("__cached__", None)


def _report_without_frames_of_ctxvars(traceback: TracebackType | None) -> None:
    """Arrange that the current exception is reported without the frames of this package.

    The exception still has to pass through some frames, which are added to its traceback. So the
    traceback is corrected at the last moment, in the `sys.excepthook` that the interpreter calls.
    """
    while traceback is not None and traceback.tb_frame.f_globals is globals():
        traceback = traceback.tb_next
    excepthook = getattr(sys, "excepthook", sys.__excepthook__)

    def report(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        sys.excepthook = excepthook
        sys.last_traceback = traceback
        excepthook(kind, error.with_traceback(traceback), traceback)

    sys.excepthook = report
