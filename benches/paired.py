"""Times contenders in turns, round by round, because the speed of a machine drifts.

A drift slows all contenders of a round alike, so the result is the median of the ratios of the
rounds, not the ratio of the medians. A generated function repeats an operation in its text, so the
loop around it adds one step to fifty operations. The garbage collector is off: when it runs depends
on other objects of the process. The times are CPU times, without the time of other programs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from time import perf_counter, process_time
from typing import Any, NamedTuple

OURS = "ctxvars"
EACH = "{each}"
"""A placeholder in the code of an operation, replaced by another argument each time."""

WRITTEN_OUT = 50
ROUNDS = range(5, 101)
BUDGET = 2.0
"""The seconds that the rounds of one measurement may take, beyond the least number of rounds."""

LARGE_BLOCK = 1 << 16


class Turn(NamedTuple):
    """The work of one contender in one round."""

    operate: Callable[[], object]
    operations: int
    """The number of operations that one call of `operate` makes."""

    warm_up: Callable[[], object] | None = None
    """Loads the data of `operate` into the CPU's caches, after the turn of another contender."""


@contextmanager
def collector_off() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@cache
def _compiled(code: str, names: tuple[str, ...], width: int) -> Callable[..., None]:
    """Return a function that runs `code` `width` times a row, with `names` as local variables."""
    each = [f"each_{index}" for index in range(width)]
    target = f"({', '.join(each)},)" if EACH in code else "_"
    lines = ["def operate(names, rows, passes):"]
    lines += [f"    {name} = names[{name!r}]" for name in names]
    lines += ["    for _ in range(passes):", f"        for {target} in rows:"]
    lines += [f"            {code.replace(EACH, name)}" for name in each]
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)
    operate: Callable[..., None] = scope["operate"]
    return operate


def written_out(
    code: str, names: Mapping[str, Any], arguments: Sequence[Any], passes: int = 1
) -> Callable[[], None]:
    """Return a function that runs `code` for each argument, `passes` times.

    The last row of arguments is left out if it is not full, unless it is the only row.
    """
    width = min(WRITTEN_OUT, len(arguments))
    starts = range(0, len(arguments) - width + 1, width)
    rows = [tuple(arguments[start : start + width]) for start in starts]
    operate = _compiled(code, tuple(names), width)
    return lambda: operate(names, rows, passes)


def measure(
    benchmark: Any,
    prepared_round: Callable[[], dict[str, Turn]],
    clock: Callable[[], float] = process_time,
) -> dict[str, list[float]]:
    """Return the seconds per operation of each contender, one sample a round.

    pytest-benchmark measures the turn of ctxvars. The other contenders take their turns while it
    sets up. The last of them, immediately before ctxvars, is the one that the ratio refers to.
    """
    samples: dict[str, list[float]] = {}

    def take(name: str, turn: Turn) -> None:
        start = clock()
        turn.operate()
        samples[name].append((clock() - start) / turn.operations)

    def setup() -> tuple[tuple[str, Turn], dict[str, Any]]:
        turns = prepared_round()
        for name in (OURS, *turns):
            samples.setdefault(name, [])
        for name, turn in reversed(turns.items()):
            if name != OURS:
                _make_ready(turn)
                take(name, turn)
        _make_ready(turns[OURS])
        return (OURS, turns[OURS]), {}

    with collector_off():
        # The first round fills caches and lets the interpreter specialise; it does not count, but
        # says how many rounds there is time for.
        start = perf_counter()
        arguments, _ = setup()
        take(*arguments)
        affordable = int(BUDGET / (perf_counter() - start))
        del arguments
        for taken in samples.values():
            taken.clear()
        rounds = min(max(affordable, ROUNDS[0]), ROUNDS[-1])
        benchmark.pedantic(take, setup=setup, rounds=rounds)
    return samples


def _make_ready(turn: Turn) -> None:
    # The C library delays its work on freed small blocks until a large one is allocated. The
    # contender that allocates it would pay for the one before it: half a second after rpds has
    # dropped a map of a million entries.
    bytes(LARGE_BLOCK)
    if turn.warm_up:
        turn.warm_up()
