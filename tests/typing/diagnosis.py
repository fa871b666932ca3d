"""Diagnosis as a type checker sees it. The examples also run: see `tests/typing/examples.py`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import assert_type

import ctxvars
from ctxvars import ContextVar, Explanation, Keeper, Origin, Retained, Watch, WatchedChange

user = ContextVar[str]("user")


def questions() -> None:
    assert_type(ctxvars.why(user), Explanation)
    with ctxvars.record():
        assert_type(ctxvars.origin(user), Origin | None)
    assert_type(ctxvars.retained(user), Retained)
    assert_type(ctxvars.retained(user).keepers, tuple[Keeper, ...])
    # Both take any variable, and nothing else.
    ctxvars.why(ContextVar[int]("number"))
    with suppress(TypeError):
        ctxvars.why("user")  # type: ignore[arg-type]


def watching() -> None:
    def show(change: WatchedChange) -> None:
        assert_type(change.kind, str)
        assert_type(change.new, object)

    with ctxvars.watch(user, show) as handle:
        assert_type(handle, Watch)
        handle.check()


def annotating() -> None:
    with ctxvars.annotate_exceptions(user, redact=["card", user]):
        pass

    @ctxvars.annotate_exceptions()
    def divide(number: int) -> float:
        return 1 / number

    @ctxvars.annotate_exceptions(user)
    async def wait(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    assert_type(divide(2), float)
    assert_type(asyncio.run(wait(0)), str)
    with suppress(TypeError):
        divide("2")  # type: ignore[arg-type]


if __name__ == "__main__":
    questions()
    watching()
    annotating()
