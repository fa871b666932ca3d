"""`python -m ctxvars fuzz`."""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import zlib
from itertools import zip_longest
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ctxvars.fuzz.campaign import Failure, Tally, Task, campaign
from ctxvars.fuzz.program import BEGINS
from ctxvars.fuzz.subjects import SUBJECTS

SECONDS_TO_REPLAY = 60


def main(arguments: list[str]) -> int:
    """Run the command; return the exit status: 1 if there is a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m ctxvars fuzz",
        description="Generates programs, runs each on ctxvars and on a reference, and compares the "
        "output.",
    )
    parser.add_argument("--subject", choices=list(SUBJECTS), default="contextvars")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, help="the same seed generates the same programs")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--against", metavar="MODULE", help="the reference to compare with")
    parser.add_argument("--module", help="the module to test (default: ctxvars)")
    parser.add_argument(
        "--save",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="where to save a program whose output differs (default: here)",
    )
    parser.add_argument("--replay", metavar="FILE", type=Path, help="run a saved program again")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.jobs < 1:
        parser.error("--seconds and --jobs must be positive")
    subject = SUBJECTS[options.subject]
    modules = options.against or subject.against, options.module or subject.module
    # The output is text of programs, their output and names of modules: no markup, no emoji.
    console = Console(markup=False, emoji=False, highlight=False)
    if options.replay:
        if not options.replay.is_file():
            parser.error(f"--replay: there is no file {options.replay}")
        return replay(console, options.replay, modules)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    console.print(f"{modules[1]} against {modules[0]}, seed {seed}")
    task = Task(options.subject, modules, seed, options.seconds)
    return fuzz(console, task, options.jobs, options.save)


def fuzz(console: Console, task: Task, jobs: int, save: Path) -> int:
    tally = Tally()
    failure = None
    columns = BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=task.seconds)
        for news in campaign(task, jobs):
            if isinstance(news, Failure):
                failure = news
                continue
            tally += news
            elapsed = progress.tasks[bar].elapsed or 1.0
            speed = f"{tally.programs} programs, {tally.programs / elapsed:.0f}/s"
            progress.update(bar, completed=min(elapsed, task.seconds), description=speed)
    console.print(coverage(tally))
    if failure is None:
        console.print(f"{tally.programs} programs did the same on both")
        return 0
    # Tests replay saved programs by the subject in the file name.
    path = save / f"{task.subject}_{zlib.crc32(failure.program.encode()):08x}.py"
    save.mkdir(parents=True, exist_ok=True)
    path.write_text(failure.program)
    console.print(failure.program, soft_wrap=True)
    console.print(failure.problem)
    subject = "" if task.subject == "contextvars" else f" --subject {task.subject}"
    for line in (
        f"saved; to run it again: python -m ctxvars fuzz{subject} --replay {path}",
        f"What follows {BEGINS!r} becomes a regression test in tests/fuzz_found, under a name that "
        "says what it shows.",
    ):
        console.print(line, soft_wrap=True)
    return 1


def coverage(tally: Tally) -> Table:
    """Return a table of the kinds of steps, with how many kinds have followed each."""
    kinds = len(tally.steps)
    table = Table(title=f"{len(tally.pairs)} of {kinds**2} pairs of steps, one after the other")
    table.add_column("step")
    for heading in ("times", "raised", "followed by kinds"):
        table.add_column(heading, justify="right")
    for kind, times in tally.steps.most_common():
        followers = sum(1 for first, _ in tally.pairs if first == kind)
        table.add_row(kind, str(times), str(tally.raised[kind]), str(followers))
    return table


def replay(console: Console, program: Path, modules: tuple[str, str]) -> int:
    """Run a program as a script on both modules, and show the first difference."""
    printed = []
    for module in modules:
        command = [sys.executable, str(program), module]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS_TO_REPLAY, check=False
            )
        except subprocess.TimeoutExpired:
            printed.append([f"it does not end in {SECONDS_TO_REPLAY} seconds"])
        else:
            printed.append([*done.stdout.splitlines(), f"exit status {done.returncode}"])
    table = Table(*modules, show_lines=True)
    same = True
    for theirs, ours in zip_longest(*printed, fillvalue=""):
        same = same and theirs == ours
        table.add_row(theirs, ours, style=None if theirs == ours else "red")
    console.print(table)
    console.print("the same on both" if same else "not the same on both")
    return 0 if same else 1
