"""Two tasks compute pi at once, each with the decimal precision that it asked for.

The precision is hidden state: no function below takes it as an argument, and `decimal` keeps it
in a context variable. With a thread-local variable instead, the two tasks, which share a thread,
would overwrite each other's precision, and the digits would mix.

`_pydecimal` is the `decimal` module written in Python. The usual one is written in C, and creates
its context variable by the C API, not by the module `contextvars`.
"""

import _pydecimal as decimal
import asyncio
import sys
import textwrap

DB_DIGITS = 100
CACHE_DIGITS = 60

# The point takes a column too. The shorter number fills the first line of the longer one.
LINE_WIDTH = CACHE_DIGITS + 1


async def pi() -> decimal.Decimal:
    """Sum the series of the recipe in the documentation of `decimal`, at the current precision.

    Every arithmetic step gives the other task a turn, hundreds of times in all.
    """
    decimal.getcontext().prec += 2
    last = decimal.Decimal(0)
    total = term = decimal.Decimal(3)
    n, n_step, d, d_step = 1, 0, 0, 24
    while total != last:
        last = total
        n, n_step = n + n_step, n_step + 8
        d, d_step = d + d_step, d_step + 32
        term *= n
        await asyncio.sleep(0)
        term /= d
        await asyncio.sleep(0)
        total += term
        await asyncio.sleep(0)
    decimal.getcontext().prec -= 2
    # The plus sign rounds to the precision that is current now.
    return +total


async def db_fetch() -> decimal.Decimal:
    with decimal.localcontext(prec=DB_DIGITS):
        return await pi()


async def cache_fetch() -> decimal.Decimal:
    # Nothing restores the former context: what a task sets ends with the task.
    decimal.setcontext(decimal.Context(prec=CACHE_DIGITS))
    return await pi()


async def both() -> tuple[decimal.Decimal, decimal.Decimal]:
    db_digits, cache_digits = await asyncio.gather(db_fetch(), cache_fetch())
    return db_digits, cache_digits


def main() -> None:
    precision = decimal.getcontext().prec
    alone = asyncio.run(db_fetch()), asyncio.run(cache_fetch())
    together = asyncio.run(both())

    for name, digits in zip(("db_fetch", "cache_fetch"), together, strict=True):
        print(f"{name}:", *textwrap.wrap(str(digits), LINE_WIDTH), sep="\n    ")

    if together != alone:
        sys.exit("The digits mixed: a function that runs alone computes other digits.")
    if decimal.getcontext().prec != precision:
        sys.exit("A precision leaked from a task into the program around it.")
    print("the digits are those that each function computes alone")


if __name__ == "__main__":
    main()
