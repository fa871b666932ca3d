"""Teaches the compiler what is hot: `make wheel` runs this program on an instrumented build.

It does what programs do with the package, and leaves out what is rare. An operation that is missing
here is compiled for size, and gets slower. Run by hand, it prints nothing:

    .venv/bin/python scripts/training.py
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from collections.abc import Callable, Generator
from typing import Any

import ctxvars
from ctxvars import _core


class Request(ctxvars.Group):
    """A group as a web framework has it."""

    path: str = "/"
    user: str = "nobody"
    tries: int = 0


def use_variables(count: int, rounds: int = 300) -> None:
    """Use the native context of this thread with `count` bound variables."""
    variables = [ctxvars.ContextVar(f"bound{i}", default=i) for i in range(count)]
    unbound = [ctxvars.ContextVar[Any](f"unbound{i}") for i in range(3)]
    lazy = ctxvars.ContextVar("lazy", default_factory=list)
    for variable in variables:
        variable.set(variable)
    first, last, some = variables[0], variables[-1], variables[:5]
    fixed = ctxvars.scope(dict.fromkeys(some, 1))
    for number in range(rounds):
        for variable in variables[:10]:
            variable.get()
            variable.get()
            variable.get(None)
            variable.set(number)
            variable.reset(variable.set(number))
        for variable in unbound:
            variable.get(None)
            variable.reset(variable.set(number))
            with contextlib.suppress(LookupError):
                variable.get()
        lazy.get()
        with fixed:
            first.get()
        with ctxvars.scope(dict.fromkeys(some, number)):
            first.get()
        with first.scope(number):
            first.get()
        with Request(path="/items", tries=number):
            Request.path  # noqa: B018
            Request.tries  # noqa: B018
        use_contexts(first, last, unbound[0])


def use_contexts(
    first: ctxvars.ContextVar[Any], last: ctxvars.ContextVar[Any], unbound: Any
) -> None:
    """Copy the current context, the native way and ours, and change the copies."""
    for copy in (ctxvars.copy_context(), contextvars.copy_context()):
        copy.run(first.get)
        copy.run(first.set, None)
        copy.run(last.set, None)
        for _ in range(5):
            copy.run(int)
    context = ctxvars.copy_context()
    for _ in range(3):
        context[last]
        context.get(first)
        last in context  # noqa: B015
        unbound in context  # noqa: B015


async def use_tasks(count: int) -> None:
    """Run tasks that set, read and await, as those of a server."""
    variables = [ctxvars.ContextVar(f"task{i}", default=0) for i in range(3)]

    async def task() -> None:
        for number, variable in enumerate(variables):
            variable.set(number)
        for _ in range(10):
            variables[0].get()
        await asyncio.sleep(0)
        variables[0].get()

    await asyncio.gather(*[asyncio.create_task(task()) for _ in range(count)])


def use_isolation(steps: int) -> None:
    """Step through an isolated generator and an isolated coroutine."""

    @ctxvars.isolated
    def count() -> Generator[int, Any, None]:
        yield from range(steps)

    @ctxvars.isolated
    async def wait() -> None:
        for _ in range(steps // 10):
            await asyncio.sleep(0)

    for _ in count():
        pass
    asyncio.run(wait())


def use_frames(rounds: int = 3000) -> None:
    """Attach, read and detach, as OpenTelemetry does for each span."""
    frames = _core.Frames("frames", None)
    for number in range(rounds):
        first = frames.attach(number)
        second = frames.attach(number)
        for _ in range(5):
            frames.get_current()
        frames.detach(second)
        frames.get_current()
        frames.detach(first)
        frames.get_current()


def use_maps(size: int, key: Callable[[int], Any]) -> None:
    """Build a map, read it, derive others, and combine them."""
    keys = [key(i) for i in range(size)]
    # Equal keys that are other objects, as those of a parsed request are.
    found = [key(i) for i in random.Random(size).choices(range(size), k=1000)]
    missing = [key(size + i) for i in range(1000)]
    pairs = dict.fromkeys(keys, 1)
    changes = dict.fromkeys(missing, 1)
    for _ in range(max(1, 2000 // size)):
        whole = ctxvars.Map(pairs)
        for _ in whole:
            pass
        for _ in whole.items():
            pass
        for _ in whole.values():
            pass
        hash(whole)
        whole == ctxvars.Map(pairs)  # noqa: B015
    for _ in range(3):
        for k in found:
            whole[k]
            whole.get(k)
            k in whole  # noqa: B015
        for k in missing:
            k in whole  # noqa: B015
            whole.get(k)
    for k in found:
        whole.set(k, 2)
        whole.delete(k)
    for k in missing:
        whole.set(k, 2)
    with whole.mutate() as mutation:
        for k in found:
            mutation[k] = 3
        for k in missing:
            mutation[k] = 3
        for k in missing:
            del mutation[k]
    whole.update(changes)
    whole.update(ctxvars.Map(changes))
    whole.update(changes).diff(whole)
    nest = ctxvars.Map(outer=ctxvars.Map(whole=whole))
    for k in found:
        nest.get_in(["outer", "whole", k])
        nest.set_in(["outer", "whole", k], 2)


def use_sets(size: int) -> None:
    """Build a set, ask for members, derive others, and combine them."""
    whole = ctxvars.Set(range(size))
    other = ctxvars.Set(range(size // 2, size + 100))
    for number in range(1000):
        number in whole  # noqa: B015
        whole.add(number)
        whole.discard(number)
    for _ in whole:
        pass
    for combined in (whole | other, whole & other, whole - other, whole ^ other):
        hash(combined)


def use_colliding_keys(size: int) -> None:
    """Use maps whose keys an attacker has chosen: all have one hash, or half of the hash."""
    one_hash = [number * (2**61 - 1) for number in range(1, size)]
    half = [number << 32 for number in range(1, size)]
    for keys in (one_hash, half, [(key, 1) for key in one_hash]):
        whole = ctxvars.Map(dict.fromkeys(keys[:100], 1))
        for k in keys:
            whole = whole.set(k, 1)
        for k in keys:
            whole[k]
        for k in keys[::10]:
            whole = whole.delete(k)
        ctxvars.Map((k, 1) for k in keys)


def main() -> None:
    """Run all of it, in a few seconds on an optimised build."""
    for count in (1, 3, 10, 100, 1000):
        contextvars.Context().run(use_variables, count)
        ctxvars.Context().run(use_variables, count, 30)
    asyncio.run(use_tasks(500))
    contextvars.Context().run(use_frames)
    use_isolation(10_000)
    for size in (1, 5, 20, 100, 1000, 10_000, 100_000):
        for key in (str, int, lambda i: (i, str(i))):
            use_maps(size, key)
        use_sets(size)
    use_colliding_keys(1000)


if __name__ == "__main__":
    main()
