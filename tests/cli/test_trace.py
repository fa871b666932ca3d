"""`python -m ctxvars trace` runs a program as `run` does, and writes what was recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ctxvars import Timeline
from tests.support.programs import Result, python
from tests.support.recording.rows import STEP

TRACE = ("-m", "ctxvars", "trace")
SET = (
    "import contextvars\n"
    "user = contextvars.ContextVar('user')\n"
    "assert type(user).__module__ == 'ctxvars'\n"
    "user.set('Ada')\n"
)


def trace(directory: Path, source: str, *arguments: str, stdin: str = "") -> Result:
    """Trace a program into run.json."""
    (directory / "program.py").write_text(SET + source)
    return python(directory, *TRACE, "-o", "run.json", *arguments, "program.py", stdin=stdin)


def changes(file: Path) -> list[tuple[str, str | None]]:
    return [(event.kind, event.name) for event in Timeline.load(file).events()]


def test_the_recording_has_the_changes_of_the_program(tmp_path: Path) -> None:
    done = trace(tmp_path, "print('hello')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    timeline = Timeline.load(tmp_path / "run.json")
    (event,) = timeline.events()
    assert (event.kind, event.name, event.text) == ("set", "user", None)
    assert event.place
    assert Path(event.place.file).name == "program.py"
    assert (event.place.line, event.place.function) == (4, "<module>")
    assert timeline.branch(event.context).thread_name == "MainThread"
    assert timeline._read().program == ("program.py",)


@pytest.mark.parametrize(
    "program",
    [["program.py", "a", "-x"], ["-m", "program", "a"], ["-c", SET, "a"], ["-c" + SET], ["-"]],
    ids=["file", "module", "command", "attached command", "stdin"],
)
def test_programs_are_given_as_to_run(tmp_path: Path, program: list[str]) -> None:
    (tmp_path / "program.py").write_text(SET + "import sys; print(sys.argv[1:])")
    done = python(tmp_path, *TRACE, "-o", "run.json", *program, stdin=SET)
    assert done.returncode == 0, done.stderr
    assert changes(tmp_path / "run.json") == [("set", "user")]


ENDS = {
    "exception": ("1 / 0", 1),
    "exit": ("import sys; sys.exit(3)", 3),
    "exit with a message": ("raise SystemExit('a message')", 1),
    "interrupt": ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    "termination": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "termination in a wait": (
        "import os, signal, threading\n"
        "end = lambda: os.kill(os.getpid(), signal.SIGTERM)\n"
        "threading.Timer(0.2, end).start()\n"
        "threading.Event().wait(60)",
        -signal.SIGTERM,
    ),
    "termination with a handler": (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "signal.pause()",
        7,
    ),
    "changed directory": ("import os; os.chdir('/')", 0),
    "changed arguments": ("import sys; sys.argv[:] = ['other']", 0),
    "deleted standard streams": ("import sys; sys.stdout = sys.stderr = None", 0),
    "replaced main": ("import sys; sys.modules['__main__'] = None", 0),
}


@pytest.mark.parametrize(("source", "status"), ENDS.values(), ids=ENDS)
def test_the_recording_is_written_however_the_program_ends(
    tmp_path: Path, source: str, status: int
) -> None:
    done = trace(tmp_path, source)
    assert done.returncode == status, done.stderr
    assert changes(tmp_path / "run.json") == [("set", "user")]
    plain = python(tmp_path, "-c", source)
    assert (plain.returncode, plain.stdout) == (status, done.stdout)


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("import os; os._exit(5)", 5),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        (
            "import os, signal\n"
            "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
            "os.kill(os.getpid(), signal.SIGTERM)",
            -signal.SIGTERM,
        ),
    ],
    ids=["_exit", "SIGKILL", "SIGTERM with the default action"],
)
def test_nothing_is_written_if_the_process_ends_at_once(
    tmp_path: Path, source: str, status: int
) -> None:
    assert trace(tmp_path, source).returncode == status
    assert not (tmp_path / "run.json").exists()


def test_threads_and_functions_at_exit_are_recorded(tmp_path: Path) -> None:
    source = (
        "import atexit, threading, time\n"
        "atexit.register(user.set, 2)\n"
        "main = threading.current_thread()\n"
        "def work(): main.join(); user.set(1)\n"
        "threading.Thread(target=work, name='late').start()"
    )
    trace(tmp_path, source, "--values")
    timeline = Timeline.load(tmp_path / "run.json")
    assert [event.text for event in timeline.events()] == ["'Ada'", "1", "2"]
    assert timeline.branch(timeline.events()[1].context).thread_name == "late"


@pytest.mark.parametrize("end", ["raise SystemExit", "os._exit(0)", "os.kill(os.getpid(), 15)"])
def test_a_forked_process_writes_nothing(tmp_path: Path, end: str) -> None:
    source = (
        "import os, time\n"
        "if not (pid := os.fork()):\n"
        "    user.set('child')\n"
        f"    {end}\n"
        "    time.sleep(60)\n"
        "print(os.waitpid(pid, 0)[1], os.path.exists('run.json'))\n"
        "user.set('parent')"
    )
    done = trace(tmp_path, source, "--values")
    status = 15 if "kill" in end else 0
    assert (done.stdout, done.stderr) == (f"{status} False\n", "")
    texts = [event.text for event in Timeline.load(tmp_path / "run.json").events()]
    assert texts == ["'Ada'", "'parent'"]


def test_the_capacity_and_lost_events(tmp_path: Path) -> None:
    trace(tmp_path, "for number in range(9): user.set(number)", "--capacity=4", "--values")
    timeline = Timeline.load(tmp_path / "run.json")
    assert timeline.lost == 6
    assert [event.text for event in timeline.events()] == ["5", "6", "7", "8"]


def test_tasks_have_tracks(tmp_path: Path) -> None:
    source = (
        "import asyncio\n"
        "async def child(): user.set('Grace')\n"
        "async def main():\n"
        "    user.set('Alan')\n"
        "    await asyncio.create_task(child(), name='the child')\n"
        "asyncio.run(main())"
    )
    trace(tmp_path, source)
    contexts = Timeline.load(tmp_path / "run.json").contexts()
    labels = [(depth, node.branch.label) for depth, node in contexts.walk()]
    assert labels == [(0, "MainThread"), (1, "Task-1"), (2, "the child")]


def test_the_page_is_written(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SET)
    done = python(tmp_path, *TRACE, "--output=run.html", "program.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "run.html").read_text().startswith("<!DOCTYPE html>\n")


@pytest.mark.parametrize("options", [[], ["-o", "-"]])
def test_the_tree_is_printed(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "program.py").write_text(SET)
    done = python(tmp_path, *TRACE, "--values", *options, "program.py", PYTHONIOENCODING="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [
        "context 0  MainThread  program.py:4 in <module>",
        "└── set user = 'Ada'  program.py:4 in <module>",
        "1 events in 1 contexts",
        "",
    ]


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, *TRACE, "-c", SET]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_output_may_be_given_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SET + "import sys; print(sys.argv[1:])")
    done = python(tmp_path, *TRACE, "program.py", "a", "-o", "run.json")
    assert done.stdout == "['a']\n"
    assert changes(tmp_path / "run.json") == [("set", "user")]
    # The option of the program is left alone if there is one before it.
    done = python(tmp_path, *TRACE, "-o", "run.json", "program.py", "-o", "run.html")
    assert done.stdout == "['-o', 'run.html']\n"
    assert not (tmp_path / "run.html").exists()


REFUSED: list[tuple[list[str], str]] = [
    ([], "PROGRAM, -m MODULE or -c CODE is missing"),
    (["-o"], "the argument of -o is missing"),
    (["--capacity"], "the argument of --capacity is missing"),
    (["--capacity", "0", "program.py"], "--capacity must be a number of events, got '0'"),
    (["--capacity", "x", "program.py"], "--capacity must be a number of events, got 'x'"),
    (["--values=1", "program.py"], "no option --values=1 here"),
    (["--fast", "program.py"], "no option --fast here"),
    (["-m"], "the argument of -m is missing"),
    (["-o", "run.txt", "program.py"], "cannot write 'run.txt': its name must end in .html or"),
    (["-o", "no/run.json", "program.py"], "'no/run.json': its directory does not exist"),
    (["-o", "directory.json", "program.py"], "'directory.json': it is a directory"),
    (["-o", "program.json", "program.json"], "'program.json': it is the program"),
]


@pytest.mark.parametrize(("arguments", "problem"), REFUSED)
def test_mistakes_are_refused_before_the_program_runs(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    (tmp_path / "directory.json").mkdir()
    for name in ("program.py", "program.json"):
        (tmp_path / name).write_text("print('it runs')")
    done = python(tmp_path, *TRACE, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m ctxvars: trace: ")
    assert problem in done.stderr


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    source = "import os; os.rename(os.getcwd(), os.getcwd() + '-moved'); raise SystemExit(4)"
    directory = tmp_path / "directory"
    directory.mkdir()
    done = trace(directory, source)
    assert done.returncode == 4
    problem = "python -m ctxvars: trace: cannot write: No such file or directory\n"
    assert done.stderr == problem


def test_a_missing_rich_is_reported_before_the_program_runs(tmp_path: Path) -> None:
    code = (
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *_: None if name == 'rich' else find(name, *_)\n"
        "from ctxvars._cli.trace import trace\n"
        "trace(['-c', 'print(1)'])"
    )
    done = python(tmp_path, "-c", code)
    assert (done.returncode, done.stdout) == (2, "")
    assert "trace: rich is not installed: pip install 'ctxvars[cli]', or write to" in done.stderr


def test_the_help_says_when_nothing_is_written(tmp_path: Path) -> None:
    for arguments in (["trace", "--help"], ["--help"]):
        done = python(tmp_path, "-m", "ctxvars", *arguments)
        assert done.returncode == 0
        assert "os._exit" in done.stdout


def test_the_program_finds_few_more_modules_than_with_run(tmp_path: Path) -> None:
    def modules(first: str, *command: str) -> set[str]:
        source = f"{first}\nimport sys\nprint(*sys.modules)"
        return set(python(tmp_path, "-m", "ctxvars", *command, "-c", source).stdout.split())

    # These import other modules, which depend on the version of Python.
    needed = (
        "import atexit, signal, textwrap, typing\nclass Options(typing.NamedTuple):\n    name: str"
    )
    more = modules("", "trace", "-o", "run.json") - modules(needed, "run")
    assert more <= {"ctxvars._cli.trace"}


def test_a_program_that_records_is_told_that_it_is_traced(tmp_path: Path) -> None:
    done = trace(tmp_path, "import ctxvars\nwith ctxvars.record(): pass")
    assert done.returncode == 1
    assert "RuntimeError: a recording is on already" in done.stderr
    assert "trace.py" not in done.stderr
    assert changes(tmp_path / "run.json") == [("set", "user")]


def test_times_are_of_the_monotonic_clock(tmp_path: Path) -> None:
    source = "import time; print(time.monotonic_ns()); user.set(1); print(time.monotonic_ns())"
    done = trace(tmp_path, source)
    before, after = map(int, done.stdout.split())
    event: Any = Timeline.load(tmp_path / "run.json").events()[1]
    # The clocks are read one after the other at the start of the recording.
    assert before - STEP <= event.nanoseconds <= after + STEP
    assert os.path.isabs(event.place.file)
