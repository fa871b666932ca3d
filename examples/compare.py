"""Run the example programs on the standard library and on ctxvars, and compare.

The first tables compare outputs and times: unmodified programs on both modules, a program with
declared state with one that hides the same state, and a program on maps with the same program on
copies of a dict. The last table shows the costs of single operations. The exit status is 1 if a
program fails or its outputs differ.
"""

import contextvars
import difflib
import subprocess
import sys
import time
import timeit
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import ModuleType

from rich.console import Console
from rich.table import Table

import ctxvars

# The two sides of a program: the arguments of Python.
Sides = dict[str, list[str]]
MODULES: Sides = {"stdlib": ["{program}"], "ctxvars": ["-m", "ctxvars", "run", "{program}"]}
STATES: Sides = {"hidden": ["decimal_tasks.py"], "declared": ["{program}"]}
MAPPINGS: Sides = {"dict": ["{program}", "dict"], "Map": ["{program}"]}
PROGRAMS: dict[str, tuple[Sides, list[str]]] = {
    "Unmodified programs": (MODULES, ["decimal_tasks.py", "request_log.py", "own_state.py"]),
    "Declared state": (STATES, ["decimal_group.py"]),
    "Versions of a mapping": (MAPPINGS, ["map_history.py"]),
}
FOLDER = Path(__file__).parent
RUNS = 3
TIMEOUT = 30.0

VARIABLES = 10
# Every call is made for each variable, with one value and then with another: the standard library
# takes a short cut if `set` gets the object that the variable already has as its value.
OPERATIONS = {
    "get": "v{variable}.get()",
    "set": "v{variable}.set({value})",
    "copy": "copy_context()",
    "run": "context.run(bool)",
}
CALLS = [(variable, value) for value in (1, 2) for variable in range(VARIABLES)]
LOOPS = 1_000
REPEATS = 4
# The hash of a variable depends on its address, and decides its place in the map. If two variables
# collide in the map of the standard library, setting them takes a third longer. The median over
# many sets of new variables removes that chance.
FRESH_SETS = 15


@dataclass
class Outcome:
    """The result of one run of a program."""

    status: int | None
    output: str
    errors: str
    seconds: float


def run(command: list[str]) -> Outcome:
    start = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return Outcome(None, "", f"It was still running after {TIMEOUT:.0f} s.", TIMEOUT)
    return Outcome(done.returncode, done.stdout, done.stderr, time.perf_counter() - start)


def complaint(program: str, side: str, outcome: Outcome, expected: str) -> str:
    """Say how a run differs from a successful one with the expected output; "" if it does not."""
    if outcome.status == 0 and outcome.output == expected:
        return ""
    diff = difflib.unified_diff(
        expected.splitlines(), outcome.output.splitlines(), "expected", side, lineterm=""
    )
    message = f"{program} on {side}: exit status {outcome.status}"
    return "\n".join([message, *diff, outcome.errors])


def compare(program: str, sides: Sides) -> tuple[dict[str, float], str]:
    """Run a program on both sides in turns; return the best times and the first complaint."""
    best = dict.fromkeys(sides, float("inf"))
    expected = None
    for _ in range(RUNS):
        for side, arguments in sides.items():
            filled = [argument.format(program=program) for argument in arguments]
            outcome = run([sys.executable, *filled])
            if expected is None:
                expected = outcome.output
            best[side] = min(best[side], outcome.seconds)
            if message := complaint(program, side, outcome, expected):
                return best, message
    return best, ""


class Side:
    """One implementation, with new variables that are set in a new context."""

    def __init__(self, module: ModuleType, operation: str) -> None:
        # A native context for each side, so that neither sees the variables of the other.
        self._home = contextvars.Context()
        calls = (
            OPERATIONS[operation].format(variable=variable, value=value)
            for variable, value in CALLS
        )
        namespace = self._home.run(self._fill, module)
        self._timer = timeit.Timer("; ".join(calls), globals=namespace)

    @staticmethod
    def _fill(module: ModuleType) -> dict[str, object]:
        variables = {f"v{i}": module.ContextVar(f"v{i}") for i in range(VARIABLES)}
        for variable in variables.values():
            variable.set(0)
        context = module.copy_context()
        return {**variables, "context": context, "copy_context": module.copy_context}

    def nanoseconds(self) -> float:
        return self._home.run(self._timer.timeit, LOOPS) * 1e9 / (LOOPS * len(CALLS))


def measure(operation: str) -> tuple[float, float]:
    """Measure an operation on both sides in turns; return each side's nanoseconds per call."""
    rounds = []
    for _ in range(FRESH_SETS):
        stdlib, ours = Side(contextvars, operation), Side(ctxvars, operation)
        turns = [(stdlib.nanoseconds(), ours.nanoseconds()) for _ in range(REPEATS)]
        # Other programs on the machine can only add time, so the minimum is the best estimate.
        rounds.append([min(times) for times in zip(*turns, strict=True)])
    stdlib_median, our_median = map(median, zip(*rounds, strict=True))
    return stdlib_median, our_median


def table(title: str, *columns: str) -> Table:
    result = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        result.add_column(column, justify="right" if index else "left")
    return result


def main() -> str | None:
    """Print the tables; return the complaints, or `None`."""
    console = Console()
    complaints = []

    for title, (sides, programs) in PROGRAMS.items():
        outcomes = table(title, "program", "same output", *(f"{side} s" for side in sides))
        with console.status("") as status:
            for program in programs:
                status.update(f"running {program}")
                best, message = compare(program, sides)
                times = [f"{seconds:.2f}" for seconds in best.values()]
                outcomes.add_row(program, "NO" if message else "yes", *times)
                if message:
                    complaints.append(message)
        console.print(outcomes)
        console.print()

    title = f"Single operations, {VARIABLES} variables in the context"
    operations = table(title, "operation", "stdlib ns", "ctxvars ns", "ratio")
    with console.status("") as status:
        for operation in OPERATIONS:
            status.update(f"timing {operation}")
            stdlib, ours = measure(operation)
            operations.add_row(operation, f"{stdlib:.1f}", f"{ours:.1f}", f"{ours / stdlib:.2f}")
    console.print(operations)

    return "\n".join(complaints) or None


if __name__ == "__main__":
    # A message as exit status goes to stderr and means 1; None means 0.
    sys.exit(main())
