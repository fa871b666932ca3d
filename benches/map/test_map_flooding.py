"""Keys that an attacker chooses so that their hashes collide, against ordinary ones: `make bench`.

Two kinds of collision can be computed. The map mixes a hash by a multiplication, which has an
inverse: so there are different hashes that are alike in the half that is looked at first. And a
number has the hash of its remainder, so there are numbers with the same hash, and tuples of such.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Hashable, Iterator
from functools import cache
from itertools import count, islice
from typing import Any

import pytest
from paired import OURS, Turn, measure
from report import Bar, Measurement

from ctxvars import Map

SIZE = 20_000
SUITE = "flooding"
ORDINARY, DICT = "ordinary keys", "dict"

MODULUS = sys.hash_info.modulus
INVERSE = pow(0x9E37_79B9_7F4A_7C15, -1, 1 << 64)


def alike_in_half() -> Iterator[int]:
    """Ints with different hashes, whose products are alike in the upper half."""
    for low in count():
        raw = (7 << 32 | low) * INVERSE % (1 << 64)
        raw -= (raw >> 63) << 64
        if abs(raw) < MODULUS and raw != -1:
            yield raw


def floats_alike_in_half() -> Iterator[float]:
    """Floats with such hashes.

    Modulo the modulus, a product with a power of two rotates the bits of a number. So a hash is
    that of a float if it can be rotated to a number that a mantissa can be.
    """
    for raw in alike_in_half():
        for bits in range(61):
            mantissa = (raw << bits) % MODULUS if raw > 0 else 0
            if 0 < mantissa < 1 << 53:
                yield float(mantissa) * 2.0 ** (-bits % 61)
                break


def of_one_hash(kind: Callable[[int], Hashable]) -> Iterator[Hashable]:
    return (kind(5 + number * MODULUS) for number in count())


chance = random.Random(1)


def numbers() -> Iterator[int]:
    return (chance.getrandbits(60) for _ in count())


KEYS: dict[str, tuple[Iterator[Any], Iterator[Any]]] = {
    "int, half of the hash": (alike_in_half(), numbers()),
    "int, one hash": (of_one_hash(lambda number: number), numbers()),
    "float, half of the hash": (floats_alike_in_half(), (chance.random() for _ in count())),
    "tuple, one hash": (
        of_one_hash(lambda number: (number, "x")),
        ((number, "x") for number in numbers()),
    ),
}
"""The chosen keys of each kind, and ordinary ones."""


@cache
def keys(kind: str) -> tuple[list[Any], list[Any]]:
    chosen, ordinary = KEYS[kind]
    return list(islice(chosen, SIZE)), list(islice(ordinary, SIZE))


def build(made: list[Any], make: Callable[[Any], Any]) -> Callable[[], object]:
    entries = [(key, None) for key in made]
    return lambda: make(entries)


def look_up(made: list[Any], make: Callable[[Any], Any]) -> Callable[[], object]:
    whole = make([(key, None) for key in made])
    return lambda: [whole[key] for key in made]


def chain_of_sets(made: list[Any], make: Callable[[Any], Any]) -> Callable[[], object]:
    def sets() -> object:
        grown = make([])
        for key in made:
            grown = grown.set(key, None)
        return grown

    return sets


OPERATIONS = {"build": build, "look up": look_up, "chain of set": chain_of_sets}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_flood(benchmark: Any, operation: str, kind: str) -> None:
    chosen, ordinary = keys(kind)
    do = OPERATIONS[operation]

    def prepared_round() -> dict[str, Turn]:
        turns = {OURS: Turn(do(chosen, Map), SIZE), ORDINARY: Turn(do(ordinary, Map), SIZE)}
        # A dict takes seconds for keys of one hash.
        if operation != "chain of set" and "one hash" not in kind:
            turns[DICT] = Turn(do(chosen, dict), SIZE)
        return turns

    Measurement(
        suite=SUITE,
        operation=f"{operation}: {kind}",
        samples=measure(benchmark, prepared_round),
        size=SIZE,
        bars=[Bar(3.0, ORDINARY)],
    ).record(benchmark)
