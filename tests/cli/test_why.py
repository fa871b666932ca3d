"""`python -m ctxvars why`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.diagnosis.stories import ANYIO, LOOP, THREAD, Story
from tests.support.programs import python


@pytest.fixture
def file(tmp_path: Path) -> Path:
    story = Story()
    for number in range(3):
        request = story.context(None, LOOP, task=f"Task-{number}")
        worker = story.context(request, ANYIO, THREAD, thread="AnyIO worker thread")
        worker.set()
        request.set("locale")
        request.missing()
    path = tmp_path / "run.json"
    story.timeline().save(path)
    return path


def why(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ctxvars", "why", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_missing_values_are_explained(file: Path) -> None:
    done = why("user", file)
    assert (done.returncode, done.stderr) == (1, "")
    explanations = done.stdout.split("\n\n")
    assert len(explanations) == 3
    assert all("sync code that a framework runs" in each for each in explanations)


def test_equal_explanations_are_counted(tmp_path: Path) -> None:
    story = Story()
    thread = story.context(None, THREAD, thread="Thread-1")
    events = [thread.missing(), thread.missing()]
    story.events[1] = type(events[1])(
        **{name: getattr(events[1], name) for name in events[1].__slots__}
        | {"place": events[0].place}
    )
    story.timeline().save(tmp_path / "run.json")
    done = why("user", tmp_path / "run.json")
    assert done.stdout.count("user has no value here") == 1
    assert done.stdout.endswith("  (2 times)\n")


def test_a_variable_that_was_not_missing(file: Path) -> None:
    done = why("locale", file)
    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert first == "locale was not missing while the recording was on"
    assert len(rest) == 3
    assert all(line.startswith("  set:      /app/main.py:") for line in rest)


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        (
            "tenant",
            "run.json",
            "the recording has no events of a variable 'tenant': there are locale, user",
        ),
        ("user", "missing.json", "missing.json': No such file or directory"),
        ("user", "damaged.json", "damaged.json'"),
    ],
)
def test_usage_errors(file: Path, name: str, path: str, message: str) -> None:
    file.with_name("damaged.json").write_text("{}")
    done = why(name, file.with_name(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_the_help_says_how_to_record() -> None:
    done = why("--help")
    assert done.returncode == 0
    assert "python -m ctxvars trace -o FILE" in " ".join(done.stdout.split())


PROGRAM = """
import threading
from contextvars import ContextVar

user = ContextVar("user")

def work():
    print(user.get())

user.set("Ada")
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(
    getattr(sys.flags, "thread_inherit_context", False), reason="threads inherit the value"
)
def test_a_traced_program_is_explained(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    traced = python(tmp_path, "-m", "ctxvars", "trace", "-o", "run.json", "program.py")
    # The exception of the thread says it, too.
    assert "LookupError" in traced.stderr
    assert "start a ctxvars.ContextThread" in traced.stderr
    assert "program.py:8 in work" in traced.stderr
    done = why("user", tmp_path / "run.json")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "user has no value here"
    assert "program.py:8 in work" in lines[1]
    assert "program.py:10 in <module>, thread 'MainThread'" in lines[2]
    assert "start a ctxvars.ContextThread" in done.stdout
