"""`python -m ctxvars run` runs each program as Python does.

Only addresses may differ. Every program starts with `CHECK`, which fails if `contextvars` is not
the module that it should be.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from py_compile import compile as compile_file

import pytest

from tests.support.programs import CHECK, RUN, assert_same, python

# Programs, by name. Each is run as a file, a module, a command and from stdin.
PROGRAMS = {
    "namespace": (
        "print(list(globals()), globals().get('__file__'), globals().get('__cached__'))\n"
        "print(__name__, __doc__, __package__, __loader__, __spec__, __builtins__)"
    ),
    "annotations": "x: int = 1\ndef f(y: int): ...\nprint(__annotations__, f.__annotations__)",
    "main": (
        "import sys; print(vars(sys.modules['__main__']) is globals(), sys.modules[__name__])"
    ),
    "sys": "import sys; print(sys.argv, sys.path, sys.flags, sys.warnoptions, sys._xoptions)",
    "shim": (
        "import asyncio, asyncio.events, decimal\n"
        "assert asyncio.events.contextvars is contextvars\n"
        "v = contextvars.ContextVar('v', default=0)\n"
        "async def child(): v.set(v.get() + 1); return v.get()\n"
        "async def main(): v.set(1); print(await asyncio.gather(child(), child()), v.get())\n"
        "asyncio.run(main()); print(v.get(), decimal.getcontext().prec)"
    ),
    # Tasks require native contexts: eager tasks on all versions, all tasks from 3.15 on.
    "tasks in contexts": (
        "import asyncio, sys\n"
        "v = contextvars.ContextVar('v', default=0)\n"
        "async def child(): v.set(v.get() + 1); await asyncio.sleep(0); return v.get()\n"
        "async def main():\n"
        "    context = contextvars.copy_context()\n"
        "    loop = asyncio.get_running_loop()\n"
        "    if sys.version_info >= (3, 12): loop.set_task_factory(asyncio.eager_task_factory)\n"
        "    for make in (asyncio.create_task, loop.create_task):\n"
        "        print(await make(child(), context=context), context[v], v.get())\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        task = group.create_task(child(), context=context)\n"
        "    print(task.result(), context[v], v.get())\n"
        "asyncio.run(main())\n"
        "with asyncio.Runner() as runner:\n"
        "    context = contextvars.copy_context()\n"
        "    runner.run(main(), context=context)\n"
        "    print(runner.run(child(), context=context), context[v], v.get())"
    ),
    "exit": "import sys; sys.exit()",
    "exit status": "import sys; sys.exit(3)",
    "exit minus one": "import sys; sys.exit(-1)",
    "exit huge": "import sys; sys.exit(2**40)",
    "exit true": "import sys; sys.exit(True)",
    "exit message": "import sys; sys.exit('a message')",
    "exit tuple": "import sys; sys.exit((1, 2))",
    "exit subclass": "class Exit(SystemExit): code = 7\nraise Exit",
    "exit at once": "import os; os._exit(5)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "interrupt": "def f(): raise KeyboardInterrupt\nf()",
    "interrupt by signal": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "interrupt subclass": "class Interrupt(KeyboardInterrupt): ...\nraise Interrupt",
    "exception": "def f(): 1 / 0\nf()",
    "exception with a cause": "try: 1 / 0\nexcept ZeroDivisionError as e: raise KeyError from e",
    "exception in a handler": "try: 1 / 0\nexcept ZeroDivisionError: missing",
    "exception group": "raise ExceptionGroup('many', [ValueError(1), ValueError(2)])",
    "exception from exec": "exec('def f():\\n    1 / 0\\n'); f()",
    "exception from a library": "import json; json.loads('{')",
    "syntax error": "f(",
    "indentation error": "if True:\nprint()",
    "indented": "  print(1)\n  print(2)",
    "excepthook": (
        "import sys, traceback\n"
        "def hook(kind, value, tb): traceback.print_exception(value); print(kind, tb.tb_lineno)\n"
        "sys.excepthook = hook\n"
        "1 / 0"
    ),
    "excepthook that exits": "import sys; sys.excepthook = lambda *a: sys.exit(4)\n1 / 0",
    "last exception": (
        "import atexit, sys, traceback\n"
        "def show():\n"
        "    print(sys.last_type, repr(sys.last_value), sys.excepthook)\n"
        "    traceback.print_tb(sys.last_traceback)\n"
        "    traceback.print_exception(sys.last_value)\n"
        "atexit.register(show)\n"
        "1 / 0"
    ),
    "at exit": "import atexit; atexit.register(lambda: print(sorted(globals())))",
    "at exit with a status": (
        "import atexit, sys; atexit.register(lambda: print(__name__, sys.excepthook)); sys.exit(3)"
    ),
    "teardown": "class C:\n    def __del__(self): print('deleted', __name__)\nc = C()",
    "thread": (
        "import threading, time\n"
        "def f(): time.sleep(0.1); print(later, __name__); 1 / 0\n"
        "threading.Thread(target=f, name='t').start(); later = 1"
    ),
    "pickle": (
        "import pickle\n"
        "class C: x = 1\n"
        "print(pickle.dumps(C()), type(pickle.loads(pickle.dumps(C()))) is C)"
    ),
    "getsource": "import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))",
    "doctest": "'''\n>>> 1 + 1\n3\n'''\nimport doctest; print(doctest.testmod())",
    "warning": "import warnings\ndef f(): warnings.warn('careful', stacklevel=2)\nf()",
    "syntax warning": "assert (1, 'always true')",
    "type hints": (
        "import dataclasses, typing\n"
        "@dataclasses.dataclass\n"
        "class C: next: 'C'\n"
        "print(typing.get_type_hints(C))"
    ),
    "fork": (
        "import os\n"
        "if not (pid := os.fork()): raise SystemExit(6)\n"
        "print(os.waitpid(pid, 0)[1])"
    ),
    "reading stdin": "import sys; print(repr(sys.stdin.read()))",
}  # fmt: skip
SLOW = [pytest.param(form, marks=pytest.mark.slow) for form in ("module", "command", "stdin")]
FORMS = ["file", *SLOW]


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("form", FORMS)
def test_a_program_cannot_tell_the_difference(tmp_path: Path, form: str, source: str) -> None:
    # A docstring has to stay the first statement, and indented code cannot have lines added.
    source = source + "\n" + CHECK if source.startswith("'''") else source
    source = source if source.startswith((" ", "'''")) else CHECK + source
    (tmp_path / "program.py").write_text(source)
    program = {
        "file": ["program.py"],
        "module": ["-m", "program"],
        "command": ["-c", source],
        "stdin": ["-"],
    }[form]
    assert_same(
        tmp_path, *program, "a", "--help", "-c", stdin=source if form == "stdin" else "input"
    )


SHOW = CHECK + (
    "import sys\n"
    "print(__file__, __package__, __spec__, __loader__, __doc__, sys.argv, sys.path)\n"
    "print(sys.flags, sys.warnoptions, sys._xoptions, __debug__)\n"
    "1 / 0"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of programs in every form that Python takes."""
    for name in ("program.py", "no_suffix", "package/__main__.py", "package/module.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SHOW)
    (tmp_path / "package/__init__.py").write_text("import sys; print(sys.argv)")
    (tmp_path / "empty").mkdir()
    (tmp_path / "package/link").symlink_to("../program.py")
    (tmp_path / "bad.pyc").write_bytes(b"bad" * 8)
    (tmp_path / "broken.py").write_text("f(")
    compile_file(str(tmp_path / "program.py"), str(tmp_path / "compiled.pyc"))
    compile_file(str(tmp_path / "program.py"), str(tmp_path / "compiled_no_suffix"))
    for name, member in (("program.zip", "__main__.py"), ("empty.zip", "module.py")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, SHOW)
    return tmp_path


@pytest.mark.parametrize(
    "program",
    [
        "program.py",
        "./program.py",
        "package/../program.py",
        "package/link",
        "no_suffix",
        "package",
        "./package/",
        "empty",
        "program.zip",
        "empty.zip",
        "compiled.pyc",
        "compiled_no_suffix",
        "bad.pyc",
        "broken.py",
        "missing.py",
        "missing/",
        "program.py/",
        "-m program",
        "-mprogram",
        "-m package",
        "-m package.module",
        "-m package.missing",
        "-m empty",
        "-m missing",
        "-m program.py",
        "-m broken",
        "-cprint(__name__)",
    ],
)
def test_every_form_of_program_runs_as_in_python(tree: Path, program: str) -> None:
    assert_same(tree, *program.split(), "a", "-m")
    assert_same(tree, *program.split(), options=("-I",))


def test_a_file_is_found_by_its_absolute_path(tree: Path) -> None:
    assert_same(tree / "empty", str(tree / "program.py"))
    assert_same(tree / "empty", str(tree / "package"))


@pytest.mark.parametrize(
    "options",
    [
        "-O",
        "-OO",
        "-P",
        "-I",
        "-E",
        "-s",
        "-B",
        "-bb",
        "-u",
        "-W error",
        "-W once -X dev",
        "-X utf8",
        "-X a=b",
    ],
)
def test_options_for_python_keep_working(tree: Path, options: str) -> None:
    for program in (
        ["program.py"],
        ["package"],
        ["-m", "program"],
        ["-c", SHOW.replace("__file__", "0")],
    ):
        assert_same(tree, *program, options=tuple(options.split()))


@pytest.mark.parametrize("ending", ["pass", "1 / 0", "raise SystemExit", "raise SystemExit(3)"])
def test_the_interactive_prompt_continues_in_the_program(tmp_path: Path, ending: str) -> None:
    (tmp_path / "program.py").write_text(f"{CHECK}x = 1\n{ending}")
    assert_same(tmp_path, "program.py", options=("-i", "-q"), stdin="print(x, __name__)\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_stdout_is_reported_as_by_python(unbuffered: str) -> None:
    results = []
    for run in [], RUN:
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run(
            [sys.executable, *run, "-c", "print('x')"],
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writer)
        results.append((result.returncode, result.stderr))
    assert results[0] == results[1]
    assert "BrokenPipeError" in results[0][1]


CHILDREN = """
import multiprocessing, sys

class Job:
    def __call__(self):
        import _contextvars, contextvars
        return __name__, contextvars.ContextVar is _contextvars.ContextVar

if __name__ == "__main__":
    import contextvars, _contextvars, os
    assert (contextvars.ContextVar is not _contextvars.ContextVar) is ("OURS" in os.environ)
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(pool.apply(Job()))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("program", [["program.py"], ["-m", "program"]], ids=["file", "module"])
def test_children_started_afresh_work_and_have_the_standard_library(
    tmp_path: Path, method: str, program: list[str]
) -> None:
    (tmp_path / "program.py").write_text(CHILDREN)
    assert_same(tmp_path, *program, method)


def test_modules_imported_at_start_up_get_our_names(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import asyncio\nfrom contextvars import Token as T")
    result = python(
        tmp_path,
        *RUN,
        "-c",
        "import sys, asyncio, _contextvars, contextvars, sitecustomize\n"
        "print(asyncio.events.contextvars is contextvars, sitecustomize.T is contextvars.Token)\n"
        "print(_contextvars.Token is not contextvars.Token)",
        PYTHONPATH=str(tmp_path),
    )
    assert result.stdout.split() == ["True"] * 3, result.stderr


def test_run_imports_nothing_that_holds_contextvars(tmp_path: Path) -> None:
    source = """
import sys
before = set(sys.modules)
import ctxvars._cli.main
print({"contextvars", "asyncio", "decimal", "argparse", "threading"} & {*sys.modules} - before)
"""
    assert python(tmp_path, "-c", source).stdout == "set()\n"


def test_importing_ctxvars_replaces_nothing(tmp_path: Path) -> None:
    source = """
import ctxvars.contextvars, contextvars, _contextvars
print(contextvars.Token is _contextvars.Token)
"""
    assert python(tmp_path, "-c", source).stdout == "True\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "a command is missing"),
        ("frobnicate", "there is no command 'frobnicate'"),
        ("run", "run: PROGRAM, -m MODULE or -c CODE is missing"),
        ("run -m", "run: the argument of -m is missing"),
        ("run -c", "run: the argument of -c is missing"),
        ("run -X dev", "run: no option -X here; options for Python itself go before -m"),
    ],
)
def test_usage_errors_say_what_to_do(tmp_path: Path, arguments: str, problem: str) -> None:
    result = python(tmp_path, "-m", "ctxvars", *arguments.split())
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (f"python -m ctxvars: {problem}; see `python -m ctxvars --help`\n")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ("--help", "usage: "),
        ("-h", "usage: "),
        ("run --help", "usage: "),
        ("--version", "ctxvars "),
    ],
)
def test_help_and_version(tmp_path: Path, arguments: str, start: str) -> None:
    result = python(tmp_path, "-m", "ctxvars", *arguments.split())
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(start)
