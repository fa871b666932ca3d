"""`python -m ctxvars explain-class`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shapes import SHAPES


class TestCommand:
    """`python -m ctxvars explain-class`."""

    @pytest.fixture
    def shapes(self, tmp_path: Path) -> Path:
        (tmp_path / "beside.py").write_text("class Beside: pass\n")
        file = tmp_path / "shapes.py"
        file.write_text(f"import beside\nassert __name__ == 'shapes'\n{SHAPES}")
        return file

    def explain(self, file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ctxvars", "explain-class", *arguments]
        return subprocess.run(
            command, cwd=file.parent, capture_output=True, encoding="utf-8", check=False
        )

    def test_a_file_is_explained_without_writing_bytecode(self, shapes: Path) -> None:
        done = self.explain(shapes, "shapes.py")
        assert (done.returncode, done.stderr) == (0, "")
        heads = [line for line in done.stdout.splitlines() if line.startswith("class ")]
        assert [head.partition(",")[0] for head in heads] == [
            "class Field()",
            "class Base()",
            "class Meta(type)",
            "class Point(Base",
        ]
        assert "STORE_NAME x" in done.stdout
        # The bytecode of the file is not written.
        assert not list(shapes.parent.glob("__pycache__/shapes*"))

    @pytest.mark.parametrize("name", ["Inner", "Point.Inner"])
    def test_one_class_is_chosen_by_name(self, shapes: Path, name: str) -> None:
        done = self.explain(shapes, "--no-bytecode", f"{shapes}:{name}")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("class Inner(list[int]), line 20\n├─ bases: list\n")
        assert "STORE_NAME" not in done.stdout

    @pytest.mark.parametrize(
        ("target", "message"),
        [
            ("missing.py", "there is no file 'missing.py'"),
            ("missing.py:Point", "there is no file 'missing.py'"),
            (
                "shapes.py:Missing",
                "shapes.py has run no class statement of the name 'Missing': "
                "there are Field, Base, Meta, Point, Point.Inner",
            ),
            ("empty.py:C", "empty.py has run no class statement of the name 'C': there is none"),
            (".", "there is no file '.'"),
        ],
    )
    def test_wrong_targets_are_reported(self, shapes: Path, target: str, message: str) -> None:
        (shapes.parent / "empty.py").write_text("")
        done = self.explain(shapes, target)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith(f"error: {message}\n")

    def test_a_file_without_a_class_is_reported(self, shapes: Path) -> None:
        shapes.write_text("x = 1")
        done = self.explain(shapes, "shapes.py")
        assert (done.returncode, done.stdout) == (0, "shapes.py has run no class statement\n")

    def test_file_that_raises(self, shapes: Path) -> None:
        shapes.write_text("class A: pass\nclass B: 1 / 0\n")
        done = self.explain(shapes, "shapes.py:B")
        assert done.returncode == 1
        assert "└─ raised ZeroDivisionError: division by zero" in done.stdout
        assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
        # The file ran as a program: the traceback has no frames of ctxvars.
        assert done.stderr.count("  File ") == 2

    def test_a_closed_output_is_not_an_error(self, shapes: Path) -> None:
        """As in `... | head -1`."""
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "ctxvars", "explain-class", str(shapes)]
        try:
            done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
        finally:
            os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")

    @pytest.mark.parametrize("text", [b"x = '\xff'\n", b"# coding: unknown\n", b"\0"])
    def test_a_file_that_is_not_text_is_reported(self, shapes: Path, text: bytes) -> None:
        shapes.write_bytes(text)
        for options in ([], ["-o", "page.html"]):
            done = self.explain(shapes, "shapes.py", *options)
            assert done.returncode == (2 if options else 1)
            assert "Error: " in done.stderr
            assert "ctxvars" not in done.stderr.partition("usage:")[0]

    def test_a_syntax_error_is_reported(self, shapes: Path) -> None:
        shapes.write_text("class")
        done = self.explain(shapes, "shapes.py")
        assert done.returncode == 1
        assert done.stderr.endswith("SyntaxError: invalid syntax\n")
