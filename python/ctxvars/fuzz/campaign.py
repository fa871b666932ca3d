"""Runs programs for some time, in several processes, until the output of one differs."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from ctxvars.fuzz.compare import Difference
from ctxvars.fuzz.machine import Watch
from ctxvars.fuzz.shrinking import shrink
from ctxvars.fuzz.subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.queues import Queue

    from ctxvars.fuzz.compare import Line

# In seconds: a process that reports nothing for longer is considered to hang.
PATIENCE = 60.0
SECONDS_BETWEEN_REPORTS = 0.25
# How many programs hypothesis tries to find a smaller one with different output. `shrink` then does
# the deletions that hypothesis is slow at.
TRIES_TO_SHRINK = 200
# After about ten programs, hypothesis generates repetitive ones: it mutates earlier programs.
PROGRAMS_PER_RUN = 10


class Enough(BaseException):
    """Ends a run of hypothesis, which passes on exceptions that are not an `Exception`."""


class OutOfTime(Enough):
    """The time of the campaign is over."""


@dataclass
class Tally:
    """Counts of the steps that programs have made."""

    programs: int = 0
    # How often each kind of step was made, how often it raised, and which kinds followed which.
    steps: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, lines: list[Line]) -> None:
        kinds = [kind for kind, _ in lines]
        self.programs += 1
        self.steps.update(kinds)
        self.raised.update(kind for kind, ending in lines if ending.startswith("raised "))
        self.pairs.update(pairwise(kinds))

    def __iadd__(self, other: Tally) -> Tally:
        self.programs += other.programs
        self.steps += other.steps
        self.raised += other.raised
        self.pairs += other.pairs
        return self


@dataclass(frozen=True)
class Failure:
    """A program that shows a fault, and a description of the fault."""

    program: str
    problem: str


@dataclass(frozen=True)
class Task:
    """The arguments of a search: see `search`."""

    subject: str
    modules: tuple[str, str]
    seed: int
    seconds: float


SETTINGS = settings(
    max_examples=PROGRAMS_PER_RUN,
    stateful_step_count=50,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    print_blob=False,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    verbosity=Verbosity.quiet,
)


class Smallest(Watch):
    """Keeps the smallest difference, and forwards to another watch.

    It keeps a difference that does not occur again with the same program, too: hypothesis calls
    such a program flaky.
    """

    def __init__(self, watch: Watch, tries: int) -> None:
        self.watch = watch
        self.tries = tries
        self.difference: Difference | None = None

    def begins(self, program: str) -> None:
        if self.difference:
            self.tries -= 1
            if self.tries < 0:
                raise Enough
        self.watch.begins(program)

    def ends(self, lines: list[Line]) -> None:
        self.watch.ends(lines)

    def differs(self, difference: Difference) -> None:
        if not self.difference or len(difference.program) <= len(self.difference.program):
            self.difference = difference
        self.watch.differs(difference)


def search(
    subject: str,
    modules: tuple[str, str],
    seed_: int,
    programs: int,
    watch: Watch,
    tries: int = TRIES_TO_SHRINK,
) -> Difference | None:
    """Run some programs; return the smallest difference, or `None`.

    Args:
        subject: a key of `SUBJECTS`.
        modules: the names of the reference and of the module under test.
        seed_: the same seed generates the same programs.
        programs: about how many.
        watch: called for each program.
        tries: how many more programs hypothesis may run to find a smaller difference.
    """

    written_by = SUBJECTS[subject].machine
    smallest = Smallest(watch, tries)
    machine: Any = type("Machine", (written_by,), {"modules": modules, "watch": smallest})
    seeds = random.Random(seed_)
    for _ in range(0, programs, PROGRAMS_PER_RUN):
        seed(seeds.getrandbits(32))(machine)
        try:
            run_state_machine_as_test(machine, settings=SETTINGS)
        except OutOfTime:
            raise
        except (Difference, Flaky, Enough):
            assert smallest.difference is not None
            return shrink(smallest.difference, machine.runtime, watch)
    return None


class Worker(Watch):
    """Runs programs, in a separate process."""

    def __init__(
        self, task: Task, current: Path, reports: Queue[Tally | Difference | None]
    ) -> None:
        self.task = task
        self.current = current
        self.reports = reports
        self.tally = Tally()
        # `work` sets both when the process has started.
        self.reported = self.deadline = 0.0

    def begins(self, program: str) -> None:
        # If the program crashes the interpreter, the file is all that is left of it.
        self.current.write_text(program)

    def ends(self, lines: list[Line]) -> None:
        self.tally.add(lines)
        self.keep_time()

    def differs(self, difference: Difference) -> None:
        # Shrinking may take as long as it needs.
        self.deadline = math.inf
        self.keep_time()

    def keep_time(self) -> None:
        now = time.monotonic()
        if now - self.reported > SECONDS_BETWEEN_REPORTS:
            self.report()
        if now > self.deadline:
            raise OutOfTime

    def report(self) -> None:
        self.reports.put(self.tally)
        self.tally, self.reported = Tally(), time.monotonic()

    def work(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.reported = time.monotonic()
        self.deadline = self.reported + self.task.seconds
        difference = None
        with contextlib.suppress(OutOfTime):
            difference = search(
                self.task.subject, self.task.modules, self.task.seed, sys.maxsize, self
            )
        self.report()
        self.reports.put(difference)


class Process:
    """The process of a worker, in the parent process."""

    def __init__(self, task: Task, directory: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.current = directory / f"{task.seed}.py"
        self.reports: Queue[Tally | Difference | None] = context.Queue()
        worker = Worker(task, self.current, self.reports)
        self.process = context.Process(target=worker.work)
        self.process.start()
        self.seen = time.monotonic()
        self.ended = False

    def news(self) -> Tally | Failure | None:
        """Return the next report of the worker, or `None`."""
        # The process may send its last report and end between these two statements.
        alive = self.process.is_alive()
        try:
            news = self.reports.get(timeout=0.05)
        except Empty:
            return None if alive and not self.hangs() else self.lost(alive)
        self.seen = time.monotonic()
        self.ended = not isinstance(news, Tally)
        if isinstance(news, Difference):
            return Failure(news.program, str(news))
        return news

    def hangs(self) -> bool:
        return time.monotonic() - self.seen > PATIENCE

    def lost(self, hangs: bool) -> Failure:
        """Return the program at which the process hangs or has crashed."""
        self.ended = True
        program = self.current.read_text() if self.current.exists() else ""
        if hangs:
            return Failure(program, f"it does not end in {PATIENCE:.0f} seconds")
        return Failure(
            program, f"it ends the interpreter, with exit status {self.process.exitcode}"
        )

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def campaign(task: Task, jobs: int) -> Iterator[Tally | Failure]:
    """Run programs in several processes: yields tallies, and finally a failure, if there is one."""
    seeds = random.Random(task.seed)
    with tempfile.TemporaryDirectory(prefix="ctxvars-fuzz-") as directory:
        processes = [
            Process(replace(task, seed=seeds.getrandbits(32)), Path(directory)) for _ in range(jobs)
        ]
        try:
            while running := [process for process in processes if not process.ended]:
                for process in running:
                    news = process.news()
                    if news is not None:
                        yield news
                    if isinstance(news, Failure):
                        return
        finally:
            for process in processes:
                process.end()
