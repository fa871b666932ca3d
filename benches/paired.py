"""Times contenders in turns, round by round, which is what a machine whose speed drifts asks for.

A drift slows all contenders of a round alike, so what counts is the median of the ratios of the
pairs, not the ratio of the medians. An operation is written out many times in a generated function,
so that what is measured besides it is one loop step in fifty. The collector is off meanwhile: when
it would run is a matter of what the rest of the process has allocated. The time is that of the CPU,
which does not go on while another program has it.
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
"""What stands in the code of an operation for its argument, another one each time."""

WRITTEN_OUT = 50
ROUNDS = range(5, 101)
BUDGET = 2.0
"""The seconds that the rounds of one measurement may take, as long as there are enough of them."""

LARGE_BLOCK = 1 << 16


class Turn(NamedTuple):
    """What one contender does in one round."""

    operate: Callable[[], object]
    operations: int
    """By how much to divide the time that `operate` takes."""

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
    """A function that does `code` `width` times for each row, with `names` as local variables."""
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
    """Does `code` for each of `arguments`, `passes` times over.

    What does not fill the last row of arguments is left out, unless it is the only one.
    """
    width = min(WRITTEN_OUT, len(arguments))
    starts = range(0, len(arguments) - width + 1, width)
    rows = [tuple(arguments[start : start + width]) for start in starts]
    operate = _compiled(code, tuple(names), width)
    return lambda: operate(names, rows, passes)


def measure(
    benchmark: Any, prepared_round: Callable[[], dict[str, Turn]]
) -> dict[str, list[float]]:
    """Seconds per operation of each contender, one sample a round.

    What pytest-benchmark measures is our turn; the others take theirs while it sets up, and the
    first of them, to which the ratio is, just before us.
    """
    samples: dict[str, list[float]] = {}

    def take(name: str, turn: Turn) -> None:
        start = process_time()
        turn.operate()
        samples[name].append((process_time() - start) / turn.operations)

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
