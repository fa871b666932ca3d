"""The command of the fuzzer prints texts unchanged, even those that look like markup."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")
pytest.importorskip("rich")

from rich.console import Console

from ctxvars.fuzz import command
from ctxvars.fuzz.campaign import Failure, Tally

ODD = "[/x] [red]red[/red] :smile: d[:x:] [link=a]b \\[c]"


def made(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Capture the output of the command, which creates its console itself."""
    output = io.StringIO()

    def console(**options: Any) -> Console:
        return Console(file=output, width=200, **options)

    monkeypatch.setattr(command, "Console", console)
    return output


@pytest.mark.parametrize("module", ["json", "[red]", "[/x]"])
def test_replay_shows_what_a_program_prints(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = made(monkeypatch)
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nprint({ODD!r})\nprint(sys.argv[1])\n")
    arguments = ["--replay", str(program), "--against", module, "--module", "ctxvars"]
    assert command.main(arguments) == 1
    shown = output.getvalue()
    assert shown.count(ODD) == 2
    assert module in shown


def test_a_difference_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = made(monkeypatch)
    found = [Failure(program=ODD, problem=ODD)]
    monkeypatch.setattr(command, "campaign", lambda task, jobs: iter(found))
    arguments = ["--save", str(tmp_path), "--against", "[/x]", "--seed", "1", "--seconds", "1"]
    assert command.main(arguments) == 1
    shown = output.getvalue()
    assert shown.count(ODD) == 2
    assert "ctxvars against [/x], seed 1" in shown


def test_kinds_of_steps_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    output = made(monkeypatch)
    tally = Tally()
    tally.steps[ODD] += 1
    monkeypatch.setattr(command, "campaign", lambda task, jobs: iter([tally]))
    assert command.main(["--seconds", "1"]) == 0
    assert ODD in output.getvalue()
