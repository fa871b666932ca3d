"""Private contexts: each call of `run_collecting` or of a `merge_back` function runs in one.

A private context is a copy of the current context. A native variable in it, the mark, refers to the
collector of the `run_collecting` that the call belongs to. Copies of the private context, made for
tasks and threads, have the mark, too. So a `merge_back` function that runs in such a copy finds the
collector, and posts its changes there.
"""

from __future__ import annotations

import asyncio
import sys
from _contextvars import ContextVar as NativeContextVar
from _contextvars import Token as NativeToken
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from inspect import isawaitable
from typing import Any

from ctxvars import _core
from ctxvars._changes.changes import Changes
from ctxvars._missing import MISSING
from ctxvars._propagation.executors import submit_in


class Collector:
    """Collects the changes that `merge_back` functions post while `run_collecting` runs."""

    __slots__ = ("is_open", "posted")

    def __init__(self) -> None:
        self.posted: list[Changes] = []
        self.is_open = True

    def post(self, changes: Changes) -> None:
        # Background tasks refer to the collector after `run_collecting` has returned.
        if self.is_open:
            self.posted.append(changes)

    def close(self) -> list[Changes]:
        self.is_open = False
        posted, self.posted = self.posted, []
        return posted


class Mark:
    """The value of `current_mark` in a private context: refers to the collector.

    `is_set_here` distinguishes the private context from its copies.
    """

    __slots__ = ("_token", "collector")

    def __init__(self, collector: Collector | None) -> None:
        self.collector = collector
        self._token: NativeToken[Mark | None] | None = None

    def set(self) -> None:
        self._token = current_mark.set(self)

    def is_set_here(self) -> bool:
        """Whether the current context is the one where the mark was set, not a copy of it.

        A token can be reset only in the context that it was made in.
        """
        if self._token is None:
            return False
        try:
            current_mark.reset(self._token)
        except ValueError:
            return False
        self.set()
        return True

    def drop_token(self) -> None:
        """Drop the reference to the context, which refers to the mark: a reference cycle."""
        self._token = None


current_mark: NativeContextVar[Mark | None] = NativeContextVar("ctxvars.mark", default=None)


class PrivateContext:
    """A copy of the current context, made for one call."""

    __slots__ = ("_before", "_mark", "context")

    def __init__(self, collector: Collector | None) -> None:
        self.context = _core.copy_context()
        self._before = self.context.bindings
        self._mark = Mark(collector)
        self.context.run(self._mark.set)

    def close(self, posted: Iterable[Changes] = ()) -> Changes:
        """End the call; return its changes, with those that were posted to its collector."""
        self._mark.drop_token()
        own = self.context.bindings

        def prefer_own(variable: _core.ContextVar[Any], base: Any, ours: Any, theirs: Any) -> Any:
            # A value set by the call itself wins, because the call has waited for the posted
            # changes. Among these, the last one wins.
            return ours if ours is own.get(variable, MISSING) else theirs

        for changes in posted:
            self.context.run(changes.apply, resolve=prefer_own)
        return Changes(self._before, self.context.bindings)


async def run_in(context: _core.Context, call: Callable[[], Any], *, on_thread: bool) -> Any:
    """Return the result of `call` in `context`; an awaitable result is awaited there."""
    result = await call_on_thread(context, call) if on_thread else context.run(call)
    if not isawaitable(result):
        return result
    body = result if isinstance(result, Coroutine) else _awaited(result)
    return await _core.isolate(body, context, False)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def call_on_thread(context: _core.Context, call: Callable[[], Any]) -> Any:
    """Return the result of `call` in `context`, on a worker thread of the running event loop."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return await trio.to_thread.run_sync(context.run, call)
    submit = partial(asyncio.get_running_loop().run_in_executor, None)
    return await submit_in(context, submit, call)
