"""Isolated bodies that are dropped before they end: in their context, once, by any thread."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from ctxvars import _core
from tests.support.builds import FREE_THREADED
from tests.support.isolation.bodies import bare, doubled, echo, isolate
from tests.support.isolation.user_variables import UNSET, Seen, both, set_both, user

pytestmark = pytest.mark.usefixtures("users_are_unset_afterwards")


def test_a_dropped_generator_ends_in_its_context() -> None:
    ended: list[Seen] = []
    generator = isolate(echo("Ada", ended))
    next(generator)
    del generator
    assert ended == [("Ada", "Ada")]


class Cell:
    """An object to make cycles with."""

    held: Any = None


# The collector of a free-threaded build finalises a body and its proxy in any order.
IN_ORDER = pytest.mark.skipif(FREE_THREADED, reason="this collector finalises in no order")


@IN_ORDER
@pytest.mark.parametrize("given", ["made after", "made before"])
@pytest.mark.parametrize("old", [False, True], ids=["young", "old"])
def test_a_generator_in_a_cycle_ends_in_its_context(given: str, old: bool) -> None:
    ended: list[Seen] = []
    cell = Cell()
    original = echo("Ada", ended)
    if given == "made before":
        gc.collect()
    cell.held = [isolate(original), cell]
    next(cell.held[0])
    del original
    if old:
        gc.collect()
        assert ended == []
    dead = weakref.ref(cell)
    del cell
    gc.collect()
    assert ended == [("Ada", "Ada")]
    assert dead() is None


@IN_ORDER
def test_a_body_that_refers_to_its_proxy() -> None:
    ended: list[Seen] = []

    def body() -> Generator[object, object, None]:
        set_both("Ada")
        try:
            me = yield
            yield
            del me
        finally:
            ended.append(both())

    generator = isolate(body())
    next(generator)
    generator.send(generator)
    dead = weakref.ref(generator)
    del generator
    gc.collect()
    assert ended == [("Ada", "Ada")]
    assert dead() is None


def test_a_generator_dropped_by_another_thread_ends_in_its_context() -> None:
    ended: list[Seen] = []
    generators = [isolate(echo("Ada", ended))]
    next(generators[0])
    thread = threading.Thread(target=generators.clear)
    thread.start()
    thread.join()
    assert ended == [("Ada", "Ada")]


def test_an_original_that_is_held_lives_on() -> None:
    original = echo("Ada")
    generator = isolate(original)
    next(generator)
    del generator
    gc.collect()
    assert original.gi_frame is not None
    original.close()


def test_an_exception_while_a_dropped_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: unraisable.append(it.exc_value))

    def body() -> Iterator[None]:
        try:
            yield
        finally:
            raise KeyError(user.get())

    def run(wrap: Callable[[Any], Any]) -> list[str]:
        generator = wrap(body())
        next(generator)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            del generator
        return [repr(unraisable.pop()) for _ in range(len(unraisable))]

    assert run(isolate) == run(bare) == ["KeyError('nobody')"]


def test_a_body_that_lives_again() -> None:
    saved: list[Any] = []

    def body() -> Generator[object, object, None]:
        cell = yield
        try:
            yield
        finally:
            saved.append(cell.held)  # type: ignore[attr-defined]

    cell = Cell()
    cell.held = isolate(body())
    next(cell.held)
    cell.held.send(cell)
    del cell
    gc.collect()
    assert list(saved[0]) == []
    saved.clear()
    gc.collect()


def test_nests_of_any_depth_are_dropped() -> None:
    def body(inner: Any) -> Iterator[None]:
        yield
        del inner

    nest: Any = None
    for _ in range(20_000):
        nest = isolate(body(nest))
        next(nest)
    del nest


@pytest.fixture
def collected_all_the_time() -> Iterator[None]:
    """Run the collector at each allocation that it counts, on new objects only."""
    threshold = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.mark.usefixtures("collected_all_the_time")
@pytest.mark.parametrize("live", [False, True], ids=["once", "live"])
def test_the_collector_at_each_step(live: bool) -> None:
    def wrap(body: Any) -> Any:
        return _core.isolate(body, None, live)

    async def numbers() -> Any:
        for number in range(3):
            set_both(f"number {number}")
            await asyncio.sleep(0)
            yield number

    async def main() -> None:
        assert [number async for number in wrap(numbers())] == [0, 1, 2]
        assert await asyncio.gather(*[wrap(doubled(number)) for number in range(3)]) == [0, 2, 4]
        assert both() == UNSET

    asyncio.run(main())
    ended: list[Seen] = []
    for name in ("Ada", "Bob"):
        cell = Cell()
        cell.held = [wrap(echo(name, ended)), cell]
        assert next(cell.held[0]) == (name, name)
        assert cell.held[0].send(1) == (1, (name, name))
        del cell
    gc.collect()
    assert len(ended) == 2
    assert FREE_THREADED or ended == [("Ada", "Ada"), ("Bob", "Bob")]
