"""`python -m ctxvars explain-class FILE -o PAGE`."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages.reading import POINT, class_named, namespaces, read_page


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the file `point.py`."""
    (tmp_path / "point.py").write_text(POINT.read_text())
    return tmp_path


def explain(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ctxvars", "explain-class", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, encoding="utf-8")


def test_the_page_has_the_source_the_bytecode_and_the_steps(directory: Path) -> None:
    done = explain(directory, "point.py", "--output", "page.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    data = read_page((directory / "page.html").read_text(encoding="ascii")).data
    source = ["".join(text for _, text in line) for line in data["lines"]]
    assert source == POINT.read_text().splitlines()
    names = ["Column", "Namespace", "Meta", "Table", "Point", "Point.Corners"]
    assert [each["name"] for each in data["classes"]] == names
    assert [each["parent"] for each in data["classes"]] == [None] * 5 + [4]
    point = class_named(data, "Point")
    opcodes = [words.split()[0] for _, _, words in point["instructions"]]
    stored = [step for step in point["steps"] if step["text"] == "x = Column()"]
    assert [opcodes[step["span"][1] - 1] for step in stored] == ["STORE_NAME"]
    assert namespaces(point["steps"])[-1]["axes"] == "('x', 'y')"


def test_the_page_loads_nothing_and_runs_only_its_script(directory: Path) -> None:
    explain(directory, "point.py", "-o", "page.html")
    page = read_page((directory / "page.html").read_text())
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data")
    ]
    assert addresses == ["data:,"]
    policy = next(it["content"] for tag, it in page.elements if tag == "meta" and "content" in it)
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    for text in (page.texts["style"][0], page.texts["script"][1]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_standard_output_has_the_page_only(directory: Path) -> None:
    file = directory / "point.py"
    loud = "class Loud:\n    def __repr__(self): return print('repr') or 'Loud()'\n"
    file.write_text(f"print('printed')\n{file.read_text()}{loud}class C: x = Loud()\n")
    done = explain(directory, "point.py", "-o", "-")
    assert done.returncode == 0
    assert set(done.stderr.split()) == {"printed", "repr"}
    assert done.stdout.startswith("<!DOCTYPE html>\n")
    assert class_named(read_page(done.stdout).data, "Point")


@pytest.mark.parametrize("name", ["Corners", "Point.Corners"])
def test_one_class_is_chosen_by_name(directory: Path, name: str) -> None:
    explain(directory, f"point.py:{name}", "-o", "page.html")
    data = read_page((directory / "page.html").read_text()).data
    (corners,) = data["classes"]
    assert (corners["name"], corners["parent"]) == ("Point.Corners", None)


def test_the_page_without_bytecode(directory: Path) -> None:
    explain(directory, "point.py", "--no-bytecode", "-o", "page.html")
    data = read_page((directory / "page.html").read_text()).data
    assert not data["bytecode"]
    assert not any(each["instructions"] for each in data["classes"])


def test_an_existing_page_is_overwritten(directory: Path) -> None:
    (directory / "page.html").write_text("x" * 1_000_000)
    assert explain(directory, "point.py", "-o", "page.html").returncode == 0
    assert (directory / "page.html").read_text().endswith("</html>\n")


def test_the_file_may_change_the_directory(directory: Path) -> None:
    (directory / "sub").mkdir()
    (directory / "point.py").write_text("import os; os.chdir('sub')\nclass C: pass\n")
    assert explain(directory, "point.py", "-o", "page.html").returncode == 0
    assert (directory / "page.html").is_file()


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (".", "it is a directory"),
        ("missing/page.html", "its directory does not exist"),
        ("point.py/page.html", "its directory does not exist"),
        ("./point.py", "it is the file to explain"),
    ],
)
def test_a_wrong_output_is_reported_before_the_file_runs(
    directory: Path, output: str, problem: str
) -> None:
    file = directory / "point.py"
    file.write_text('print("printed")\n')
    done = explain(directory, "point.py", "-o", output)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"error: cannot write {output!r}: {problem}\n")
    assert file.read_text() == 'print("printed")\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_failing_write_is_reported(directory: Path) -> None:
    done = explain(directory, "point.py", "-o", "/dev/full")
    assert done.returncode == 2
    assert done.stderr.endswith("error: cannot write '/dev/full': No space left on device\n")


def test_a_file_without_a_class_is_reported(directory: Path) -> None:
    (directory / "point.py").write_text("x = 1")
    done = explain(directory, "point.py", "-o", "page.html")
    assert done.returncode == 2
    assert done.stderr.endswith("point.py has run no class statement: there is no step to show\n")
    assert not (directory / "page.html").exists()


def test_a_file_that_raises(directory: Path) -> None:
    (directory / "point.py").write_text("class A: pass\nclass B:\n    x = 1\n    y = 1 / 0\n")
    done = explain(directory, "point.py", "-o", "page.html")
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    data = read_page((directory / "page.html").read_text()).data
    assert data["notices"] == ["The file raised ZeroDivisionError: division by zero."]
    last = class_named(data, "B")["steps"][-1]
    assert (last["text"], last["line"]) == ("raised ZeroDivisionError: division by zero", 4)


def test_a_file_name_of_any_bytes(directory: Path) -> None:
    name = b"<b>\xff&.py"
    (directory / "point.py").rename(directory.joinpath(name.decode("utf-8", "surrogateescape")))
    command = [sys.executable, "-m", "ctxvars", "explain-class", name, "-o", "-"]
    done = subprocess.run(command, cwd=directory, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    page = read_page(done.stdout.decode("ascii"))
    assert page.texts["title"] == [r"Class creation: <b>\udcff&.py"]
    assert page.data["file"] == r"<b>\udcff&.py"
