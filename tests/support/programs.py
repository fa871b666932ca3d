"""Running programs with Python and with `python -m ctxvars run`, which must do the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

Result: TypeAlias = subprocess.CompletedProcess[str]

RUN = ["-m", "ctxvars", "run"]

CHECK = (
    "import contextvars, _contextvars, os\n"
    "if (contextvars.ContextVar is not _contextvars.ContextVar) is not ('OURS' in os.environ):\n"
    "    raise SystemExit('these are the wrong contextvars')\n"
)


def python(directory: Path, *arguments: str, stdin: str = "", **environment: str) -> Result:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=os.environ | environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def outcome(result: Result) -> tuple[int, str, str]:
    without_addresses = re.compile("0x[0-9a-f]+").sub
    return (
        result.returncode,
        without_addresses("0x", result.stdout),
        without_addresses("0x", result.stderr),
    )


def assert_same(
    directory: Path, *program: str, options: tuple[str, ...] = (), stdin: str = ""
) -> None:
    """Run a program, given by arguments of Python, with Python and with `run`, and compare."""
    plain = outcome(python(directory, *options, *program, stdin=stdin))
    ours = outcome(python(directory, *options, *RUN, *program, stdin=stdin, OURS="1"))
    assert "wrong contextvars" not in plain[2]
    assert ours == plain
