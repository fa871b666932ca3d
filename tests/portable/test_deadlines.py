"""Deadlines: the remaining time travels, and blocks only shorten it."""

from __future__ import annotations

import asyncio
import math
import pickle

import pytest

import ctxvars
from ctxvars import DeadlineExceeded, check_deadline, deadline, extract, inject, remaining_time
from ctxvars._portable import deadlines


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadlines, "clock", clock)
    return clock


def test_without_a_deadline_there_is_no_limit() -> None:
    assert remaining_time() is None
    check_deadline()
    with deadline():
        assert remaining_time() is None


def test_the_remaining_time_shrinks_to_zero(clock: Clock) -> None:
    with deadline(2):
        assert remaining_time() == 2
        clock.now += 1.5
        assert remaining_time() == 0.5
        check_deadline()
        clock.now += 1
        assert remaining_time() == 0
        with pytest.raises(DeadlineExceeded, match="the deadline has passed"):
            check_deadline()
    assert remaining_time() is None


def test_the_error_is_a_timeout() -> None:
    with pytest.raises(TimeoutError), deadline(0):
        check_deadline()


def test_a_block_only_shortens(clock: Clock) -> None:
    with deadline(2):
        with deadline(60):
            assert remaining_time() == 2
        with deadline(1):
            assert remaining_time() == 1
        assert remaining_time() == 2


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
def test_unusable_seconds_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="number of seconds"):
        deadline(seconds)


def test_a_block_can_be_entered_again_but_not_twice() -> None:
    block = deadline(5)
    for _ in range(2):
        with block, pytest.raises(RuntimeError, match="entered already"):
            block.__enter__()
    assert remaining_time() is None


def test_remaining_time_is_sent_whatever_the_clock_shows(clock: Clock) -> None:
    with deadline(2):
        clock.now += 0.5
        headers = inject()
    assert headers == {"baggage": "ctxvars.deadline=1.500"}
    clock.now = 5.0  # the clock of another machine
    with extract(headers):
        assert remaining_time() == 1.5


def test_a_passed_deadline_is_sent_as_zero(clock: Clock) -> None:
    with deadline(1):
        clock.now += 10
        assert inject() == {"baggage": "ctxvars.deadline=0.000"}


def test_a_carried_deadline_is_remaining_time(clock: Clock) -> None:
    with deadline(2):
        carried = pickle.dumps(ctxvars.carry(remaining_time))
    clock.now = 7.0
    assert pickle.loads(carried)() == 2


def test_a_received_deadline_can_be_shortened_but_not_extended(clock: Clock) -> None:
    with extract({"baggage": "ctxvars.deadline=5"}), deadline(60):
        assert remaining_time() == 5
    with deadline(3), extract({"baggage": "ctxvars.deadline=5"}, clear_missing=False):
        assert remaining_time() == 3


@pytest.mark.parametrize(
    "text", ["-1", "inf", "nan", "1e9", "", "1.", "9" * 400, "1 2", "\u0661", "0x1", "1.0000000"]
)
def test_a_hostile_deadline_is_dropped(text: str) -> None:
    with extract({"baggage": f"ctxvars.deadline={text}"}) as received:
        assert remaining_time() is None
    assert received.errors


def test_a_block_of_asyncio_is_cancelled_at_the_deadline() -> None:
    async def main() -> None:
        async with deadline(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert remaining_time() is None


def test_a_block_of_asyncio_takes_a_deadline_that_was_received() -> None:
    async def main() -> None:
        with extract({"baggage": "ctxvars.deadline=0"}):
            async with deadline():
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_a_block_of_asyncio_that_ends_in_time_restores() -> None:
    async def main() -> float | None:
        async with deadline(1000):
            assert remaining_time() is not None
            await asyncio.sleep(0)
        return remaining_time()

    assert asyncio.run(main()) is None


def test_an_error_in_a_block_of_asyncio_is_passed_on() -> None:
    async def main() -> None:
        async with deadline(1000):
            raise KeyError("own")

    with pytest.raises(KeyError):
        asyncio.run(main())
