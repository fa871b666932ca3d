"""`deadline`: the time by which work must be done, as a portable variable.

The value is a time of the monotonic clock. Clocks of two machines differ, so the remaining time is
sent; the time on the way is not counted.
"""

from __future__ import annotations

import asyncio
import re
import time
from math import isfinite
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ctxvars._core import ContextVar, Scope
from ctxvars._portable.declaration import RESERVED, Portable
from ctxvars._portable.registry import Declared, declare
from ctxvars._public import public

if TYPE_CHECKING:
    from typing import Self

clock = time.monotonic
# At most a year or so, and microseconds: no text of a header gives infinity.
_SECONDS = re.compile(r"[0-9]{1,8}(?:\.[0-9]{1,6})?")
MAX_SECONDS = 99_999_999.0

current_deadline: ContextVar[float] = ContextVar("ctxvars.deadline")


@public
class DeadlineExceeded(TimeoutError):
    """The deadline of the current context has passed."""


def _pack(deadline: float) -> float:
    """Return the remaining time of a deadline."""
    return max(deadline - clock(), 0.0)


def _unpack(seconds: float) -> float:
    return clock() + seconds


def _encode(deadline: float) -> str:
    # Rounded down: a service must not work longer than its caller waits.
    milliseconds = int(min(_pack(deadline), MAX_SECONDS) * 1000)
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"


def _decode(text: str) -> float:
    if not _SECONDS.fullmatch(text):
        raise ValueError("the text is not a number of seconds")
    return _unpack(float(text))


NAME = f"{RESERVED}deadline"
declare(
    [
        Declared(
            current_deadline,
            Portable(NAME, codec=(_encode, _decode)),
            "ctxvars.deadline()",
            __name__,
            is_repeatable=True,
            pack=_pack,
            unpack=_unpack,
        )
    ]
)


@public
class deadline:
    """A deadline for a block, for all that it calls, and for the services that it calls.

    Args:
        seconds: the time for the block. `None` for the deadline that is set already, such as the
            one that a request has brought.

    In a `with` block, the deadline is the value of a portable variable, which `inject` and `carry`
    send. Code looks at `remaining_time()`, or calls `check_deadline()`. An `async with` block of
    asyncio is also cancelled at the deadline, and raises `TimeoutError`, as `asyncio.timeout` does.

    A block can only shorten the deadline of the blocks around it. The block has one use at a time.

    Raises:
        ValueError: `seconds` is negative or not a finite number.

    O(log n) in the number of variables.

    >>> import ctxvars
    >>> with ctxvars.deadline(2):
    ...     with ctxvars.deadline(60):
    ...         0 < ctxvars.remaining_time() <= 2
    True
    >>> print(ctxvars.remaining_time())
    None
    """

    __slots__ = ("_scope", "_seconds", "_timeout")

    def __init__(self, seconds: float | None = None, /) -> None:
        if seconds is not None and (not isfinite(seconds) or seconds < 0):
            raise ValueError(f"a deadline must be a number of seconds from 0 on, got {seconds!r}")
        self._seconds = seconds
        self._scope: Scope | None = None
        self._timeout: asyncio.Timeout | None = None

    def __enter__(self) -> Self:
        if self._scope is not None:
            raise RuntimeError("the deadline is entered already")
        current = current_deadline.get(None)
        if self._seconds is not None:
            new = clock() + self._seconds
            current = new if current is None else min(current, new)
        if current is not None:
            self._scope = current_deadline.scope(current)
            self._scope.__enter__()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        entered, self._scope = self._scope, None
        if entered is not None:
            entered.__exit__(type, value, traceback)

    async def __aenter__(self) -> Self:
        self.__enter__()
        self._timeout = asyncio.timeout(remaining_time())
        try:
            await self._timeout.__aenter__()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        timeout, self._timeout = self._timeout, None
        try:
            assert timeout is not None
            await timeout.__aexit__(type, value, traceback)
        finally:
            self.__exit__(type, value, traceback)

    def __repr__(self) -> str:
        return f"ctxvars.deadline({'' if self._seconds is None else self._seconds})"


def remaining_time() -> float | None:
    """Return the seconds until the deadline: 0.0 after it, `None` without a deadline.

    It fits arguments called `timeout`. O(1).

    >>> import ctxvars
    >>> with ctxvars.deadline(0):
    ...     ctxvars.remaining_time()
    0.0
    """
    current = current_deadline.get(None)
    return None if current is None else _pack(current)


def check_deadline() -> None:
    """Raise `DeadlineExceeded` if the deadline has passed.

    Call it in loops, and before expensive steps. O(1).

    >>> import ctxvars
    >>> with ctxvars.deadline(0):
    ...     ctxvars.check_deadline()
    Traceback (most recent call last):
    ctxvars.DeadlineExceeded: the deadline has passed
    """
    current: Any = current_deadline.get(None)
    if current is not None and clock() >= current:
        raise DeadlineExceeded("the deadline has passed")


public(remaining_time)
public(check_deadline)
