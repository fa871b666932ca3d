"""Uses of portable variables that type checkers must accept.

`mypy --strict` and pyright check this file, and Python runs it, so the declarations match the
behaviour.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Future
from typing import assert_type
from uuid import UUID

import ctxvars
from ctxvars import (
    CarriedFunction,
    Changes,
    ContextFuture,
    ContextProcess,
    ContextProcessPoolExecutor,
    ContextVar,
    Portable,
    Received,
    Signer,
    carry,
    check_deadline,
    deadline,
    environment_with,
    extract,
    extract_environment,
    group_field,
    inject,
    portable,
    remaining_time,
)

user: ContextVar[str] = portable(ContextVar("user"), "typing.user", to="public")
depth: ContextVar[int] = ContextVar("depth")
assert_type(
    portable(depth, "typing.depth", codec=int, version=2, older={1: len}, validate=bool),
    ContextVar[int],
)


class Request(ctxvars.Group):
    tenant: str = group_field(default="", portable="typing.tenant")
    id: UUID = group_field(portable=Portable("typing.id", codec=(str, UUID), to="process"))


def fields() -> None:
    with Request(tenant="globex", id=UUID(int=1)):
        assert_type(Request.id, UUID)


def headers() -> None:
    signer = Signer({"key": bytes(32)}, max_age=60)
    assert_type(inject(), dict[str, str])
    assert_type(inject({"a": "b"}, to="public", signer=signer), dict[str, str])
    assert_type(inject([(b"a", b"b")]), list[tuple[bytes, bytes]])
    with extract({}, accept=["typing.user", depth], signer=signer, clear_missing=False) as received:
        assert_type(received, Received)
        assert_type(received.foreign, tuple[str, ...])
        inject(foreign=received)
    extract([], accept="public", getter=lambda headers, name: None)


def twice(number: int) -> int:
    return 2 * number


def processes() -> None:
    carried = carry(twice, clear_missing=False)
    assert_type(carried(-1), int)
    function: CarriedFunction[[int], int] = carried
    function(2)
    ContextProcess(target=len, args=("a",), mp_context=multiprocessing.get_context("spawn"))
    with ContextProcessPoolExecutor(1, initializer=print, merge_back=True) as pool:
        future = pool.submit(len, "a")
        assert_type(future, Future[int])
        if isinstance(future, ContextFuture):
            assert_type(future.changes(), Changes)
    assert_type(environment_with({}), dict[str, str])
    extract_environment({}, clear_missing=False)


def deadlines() -> None:
    with deadline(1.5):
        assert_type(remaining_time(), float | None)
        check_deadline()


async def asynchronous() -> None:
    async with deadline(1), deadline():
        pass


if __name__ == "__main__":
    fields()
    headers()
    deadlines()
