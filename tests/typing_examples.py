"""Uses of the package that a type checker must understand as they are written here.

`mypy --strict` checks this file and Python imports it, so that what is declared also holds.
"""

from __future__ import annotations

import asyncio
import contextvars as native_contextvars
from collections.abc import Iterator, Mapping
from typing import Any, assert_type

import ctxvars
import ctxvars.contextvars
from ctxvars import Context, ContextVar, Token, copy_context

user: ContextVar[str] = ContextVar("user")
depth = ContextVar("depth", default=0)


def variables() -> None:
    assert_type(user.name, str)
    assert_type(depth, ContextVar[int])
    assert_type(depth.get(), int)
    assert_type(depth.get(1), int)
    assert_type(user.get(None), str | None)
    assert_type(hash(user), int)
    ContextVar[int]("generic")


def tokens() -> None:
    token = depth.set(1)
    assert_type(token, Token[int])
    assert_type(token.var, ContextVar[int])
    assert_type(token.old_value is Token.MISSING, bool)
    depth.reset(token)
    with depth.set(2) as entered:
        assert_type(entered, Token[int])


def scale(number: int, *, factor: float) -> float:
    return number * factor


def contexts() -> None:
    context = copy_context()
    assert_type(context, Context)
    assert_type(context.copy(), Context)
    assert_type(context.run(scale, 2, factor=1.5), float)
    assert_type(context.run(user.set, "Ada"), Token[str])
    assert_type(context[user], str)
    assert_type(context.get(user), str | None)
    assert_type(context.get(depth, 0), int)
    assert_type(context.get(user, 0), str | int)
    assert_type(user in context, bool)
    assert_type(len(context), int)
    assert_type(iter(context), Iterator[ContextVar[Any]])
    mapping: Mapping[ContextVar[Any], Any] = context
    assert_type(dict(mapping), dict[ContextVar[Any], Any])
    assert_type(context == Context(), bool)


def bridges() -> None:
    native = Context().native
    assert_type(native, native_contextvars.Context)
    assert_type(Context.wrap(native), Context)


def shim() -> None:
    assert_type(ctxvars.contextvars.copy_context(), Context)
    assert_type(ctxvars.contextvars.ContextVar("shim", default=""), ContextVar[str])


async def answer() -> int:
    return 42


async def tasks() -> None:
    assert_type(ctxvars.create_task(answer()), asyncio.Task[int])
    assert_type(await ctxvars.create_task(answer(), name="a", context=Context()), int)
    assert_type(await ctxvars.create_task(answer(), context=copy_context().native), int)


def mistakes() -> None:
    """What must be refused: strict checking reports an ignore that nothing needs."""
    ContextVar("wrong", 0)  # type: ignore[call-overload]
    ContextVar(name="wrong")  # type: ignore[call-overload]
    depth.set("wrong")  # type: ignore[arg-type]
    depth.reset(user.set(""))  # type: ignore[arg-type]
    user.name = "wrong"  # type: ignore[misc]
    Context().run(scale, 2)  # type: ignore[call-arg]
    Context()[user] = ""  # type: ignore[index]
    Context.wrap(Context())  # type: ignore[arg-type]


if __name__ == "__main__":
    for example in (variables, tokens, contexts, bridges, shim):
        example()
    asyncio.run(tasks())
