"""The commands of `python -m ctxvars`.

Each command imports what it needs in its own function: `run` and `trace` must import next to
nothing.
"""

from __future__ import annotations

import sys

from ctxvars import __version__, _core
from ctxvars._cli.run import run
from ctxvars._cli.usage import HELP, refuse


def main() -> None:
    """Run the command in `sys.argv`.

    Returns if the command succeeded. It does not raise `SystemExit(0)`, which `python -i` would
    report.
    """
    match sys.argv[1:]:
        case ["run", *arguments]:
            run(arguments)
        case ["trace", *arguments]:
            _trace(arguments)
        case ["fuzz", *arguments]:
            _fuzz(arguments)
        case ["explain-class", *arguments]:
            _explain_class(arguments)
        case ["why", *arguments]:
            _why(arguments)
        case ["-h" | "--help"]:
            print(HELP, end="")
        case ["--version"]:
            reason = _core.not_in_place
            print("ctxvars", __version__)
            print("variables are set in place:", "no, " + reason if reason else "yes")
        case []:
            refuse("a command is missing")
        case [command, *_]:
            refuse(f"there is no command {command!r}")


def _trace(arguments: list[str]) -> None:
    from ctxvars._cli.trace import trace

    trace(arguments)


def _fuzz(arguments: list[str]) -> None:
    try:
        from ctxvars.fuzz.command import main
    except ImportError as error:
        refuse(f"fuzz: {error.name} is not installed: pip install 'ctxvars[cli]'")
    if status := main(arguments):
        sys.exit(status)


def _explain_class(arguments: list[str]) -> None:
    from ctxvars._cli.explain_class import main

    if status := main(arguments):
        sys.exit(status)


def _why(arguments: list[str]) -> None:
    from ctxvars._cli.why import main

    if status := main(arguments):
        sys.exit(status)
