"""The program of `decimal_tasks.py` with declared state: two tasks compute pi at once.

In `decimal_tasks.py` the precision is hidden in `decimal`. Here it is a field of a `ctxvars.Group`.
One class declares all state, with types and defaults, and the functions below read and set it by
name. The output is the same.
"""

import asyncio
import decimal
import sys
import textwrap
from collections import Counter

from ctxvars import Group, group_field

DB_DIGITS = 100
CACHE_DIGITS = 60

# The point takes a column too. The shorter number fills the first line of the longer one.
LINE_WIDTH = CACHE_DIGITS + 1


def at_least_one(digits: int) -> None:
    if digits < 1:
        raise ValueError(f"{digits} digits are too few")


class Arithmetic(Group):
    """The settings of the current task, its caller, and the terms it has computed."""

    caller: str
    precision: int = group_field(default=28, validate=at_least_one)
    rounding: str = decimal.ROUND_HALF_EVEN
    terms: Counter[str] = group_field(default_factory=Counter)

    @classmethod
    def context(cls) -> decimal.Context:
        return decimal.Context(prec=cls.precision, rounding=cls.rounding)


async def pi() -> decimal.Decimal:
    """Sum the series of the recipe in the documentation of `decimal`, at the current precision.

    Every arithmetic step gives the other task a turn, hundreds of times in all.
    """
    with Arithmetic(precision=Arithmetic.precision + 2):
        last = decimal.Decimal(0)
        total = term = decimal.Decimal(3)
        n, n_step, d, d_step = 1, 0, 0, 24
        while total != last:
            last = total
            n, n_step = n + n_step, n_step + 8
            d, d_step = d + d_step, d_step + 32
            term = Arithmetic.context().multiply(term, n)
            await asyncio.sleep(0)
            term = Arithmetic.context().divide(term, d)
            await asyncio.sleep(0)
            total = Arithmetic.context().add(total, term)
            Arithmetic.terms[Arithmetic.caller] += 1
            await asyncio.sleep(0)
    # It rounds to the precision that is current now.
    return Arithmetic.context().plus(total)


async def report() -> str:
    """Return the digits, below the name of the caller."""
    digits = textwrap.wrap(str(await pi()), LINE_WIDTH)
    if Arithmetic.terms.keys() != {Arithmetic.caller}:
        sys.exit("The terms mixed: a task has counted those of another.")
    return "\n    ".join([f"{Arithmetic.caller}:", *digits])


async def db_fetch() -> str:
    with Arithmetic(caller="db_fetch", precision=DB_DIGITS):
        return await report()


async def cache_fetch() -> str:
    # Nothing restores the former values: what a task sets ends with the task.
    Arithmetic.caller = "cache_fetch"
    Arithmetic.precision = CACHE_DIGITS
    return await report()


async def both() -> list[str]:
    return list(await asyncio.gather(db_fetch(), cache_fetch()))


def is_refused(digits: int) -> bool:
    """Return whether setting this precision raises, and leaves the precision unchanged."""
    before = Arithmetic.precision
    try:
        Arithmetic.precision = digits
    except ValueError:
        return Arithmetic.precision == before
    return False


def main() -> None:
    before = Arithmetic.as_dict()
    alone = [asyncio.run(db_fetch()), asyncio.run(cache_fetch())]
    together = asyncio.run(both())
    print(*together, sep="\n")

    if together != alone:
        sys.exit("The digits mixed: a function that runs alone computes other digits.")
    if Arithmetic.as_dict() != before:
        sys.exit("A value leaked from a task into the program around it.")
    if not is_refused(0):
        sys.exit("A precision of no digits was accepted.")
    print("the digits are those that each function computes alone")


if __name__ == "__main__":
    main()
