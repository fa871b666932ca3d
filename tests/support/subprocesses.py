"""Running a function of a test module in a new interpreter.

This is for functions that may crash the interpreter, or change it permanently. A crash is then a
failure that shows where it happened, and the other tests run.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

CALL = """
import faulthandler, sys
faulthandler.enable()
faulthandler.dump_traceback_later({timeout}, exit=True)
sys.path.insert(0, {root!r})
from {module} import {name} as function
print("returned", repr(function(*{arguments!r})), flush=True)
"""


def in_subprocess(
    function: Callable[..., Any], *arguments: Any, options: tuple[str, ...] = (), timeout: int = 60
) -> Any:
    """Call a top-level function in a new interpreter, and return its result.

    Arguments and result are passed as literals.
    """
    source = CALL.format(
        timeout=timeout,
        root=str(ROOT),
        module=function.__module__,
        name=function.__name__,
        arguments=arguments,
    )
    done = subprocess.run(
        [sys.executable, *options, "-c", source], capture_output=True, text=True, check=False
    )
    results = [line for line in done.stdout.splitlines() if line.startswith("returned ")]
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr[-3000:]}"
    assert len(results) == 1, done.stdout
    return ast.literal_eval(results[0].removeprefix("returned "))
