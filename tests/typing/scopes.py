"""Uses of scopes that type checkers must accept.

`mypy --strict` and pyright check this file, and Python imports it, so the declarations match the
behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

import ctxvars
from ctxvars import ContextVar, Map, Scope, Token, copy_context

user: ContextVar[str] = ContextVar("user")
depth = ContextVar("depth", default=0)
items = ContextVar[list[int]]("items", default_factory=list)


def scopes() -> None:
    mixed: dict[ContextVar[Any], object] = {user: "Ada", depth: 1}
    mapping: Mapping[ContextVar[Any], int] = {depth: 1}
    assert_type(ctxvars.scope(mixed), Scope)
    ctxvars.scope({user: "Ada", depth: 1})
    ctxvars.scope(mapping, strict=True)
    ctxvars.scope([(user, "Ada"), (depth, 1)])
    ctxvars.scope(pair for pair in mixed.items())
    ctxvars.scope(Map(mixed))
    with ctxvars.scope({depth: 2}) as entered:
        assert_type(entered, Scope)
        ctxvars.scope(copy_context())
    with depth.scope(1), user.scope("Alan", strict=True) as bound:
        assert_type(bound, Scope)


def values() -> None:
    assert_type(depth.is_set(), bool)
    depth.set(1)
    assert_type(depth.delete(), Token[int])
    assert_type(items, ContextVar[list[int]])
    assert_type(items.get(), list[int])
    numbered = ContextVar("numbered", default_factory=lambda: 1)
    assert_type(numbered.get(), int)


def mistakes() -> None:
    """Mistakes that checkers must report: strict checking reports ignores that are not needed."""
    depth.scope("wrong")  # type: ignore[arg-type]
    depth.scope(1, True)  # type: ignore[call-arg]
    ctxvars.scope({"depth": 1})  # type: ignore[dict-item]
    ctxvars.scope(depth)  # type: ignore[call-overload]
    ContextVar("wrong", default=1, default_factory=int)  # type: ignore[call-overload]
    ContextVar[int]("wrong", default_factory=str)  # type: ignore[arg-type]
    ctxvars.scopes({depth: 1})  # type: ignore[attr-defined]


if __name__ == "__main__":
    scopes()
    values()
