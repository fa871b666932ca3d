"""The help of the command line, and its usage errors."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

HELP = """\
usage: python -m ctxvars run PROGRAM [ARGS...]
       python -m ctxvars run -m MODULE [ARGS...]
       python -m ctxvars run -c CODE [ARGS...]
       python -m ctxvars trace [-o FILE] [OPTIONS...] PROGRAM [ARGS...]
       python -m ctxvars fuzz [--help | OPTIONS...]
       python -m ctxvars explain-class [--help | OPTIONS...] FILE[:NAME]
       python -m ctxvars why [--help] NAME FILE
       python -m ctxvars --help | --version

run: runs a program with ctxvars in place of the standard library's contextvars.

PROGRAM is anything that Python takes: a source or compiled file, a directory or zip file with a
__main__.py, or - for standard input. What follows it belongs to the program. Options for Python
itself go before -m: python -X dev -m ctxvars run PROGRAM.

The replacement applies to the process and its forks. A new interpreter that the program starts
(subprocess, or multiprocessing by "spawn" or "forkserver") has the standard library's contextvars.

trace: runs a program like `run`, and shows when and where its context variables are set.

  -o FILE, --output FILE
      FILE.html is a page to look at, FILE.json a trace for Perfetto and `Timeline.load`, and -
      prints the tree of contexts, which needs the extra `cli`. The default is -. If -o is not given
      before PROGRAM, the last two arguments may be -o FILE.
  --capacity N
      keeps the newest N events (65536).
  --values
      keeps a text of each value: the shortened repr, or the type if it is not a simple value.
      Values may be secret, so it is not kept by default.

PROGRAM is what `run` takes: -m MODULE and -c CODE, too. Its exit status is kept. The recording is
written when the process exits, also by an exception, sys.exit, SIGINT or SIGTERM. It is not written
if the process ends at once: by os._exit, os.exec*, SIGKILL, a crash, or by SIGTERM if the program
itself has set the action of this signal to the default. A process that the program forks writes
nothing.

fuzz: generates programs, and compares their output on ctxvars and on the standard library. It needs
the extra `cli`.

explain-class: runs a file, and shows how its classes are created, step by step: as text, or with
-o PAGE as an HTML page.

why: says why a variable had no value, and what to use instead, from the FILE of a recording.
"""


def drop_output() -> None:
    """Drop the rest of the output, after a pipe to a command like `head` was closed.

    At exit, the interpreter would try again to write the rest, and raise.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refuse(problem: str) -> NoReturn:
    """Print a usage error, and exit with status 2."""
    print(
        f"python -m ctxvars: {problem}; see `python -m ctxvars --help`",
        file=sys.stderr,
    )
    sys.exit(2)
