"""arq: jobs run with the portable variables of the code that enqueued them.

arq serializes the function's name and arguments as a dict, by pickle or the program's serializer.
The values travel in this dict, as the text of a header `baggage`. So they need no argument of the
function, are never unpickled, and a worker without this integration ignores them.

`install` replaces these options of a pool, a worker, or the settings of a worker:

- `job_serializer` adds the text.
- `job_deserializer` keeps the text for the job. arq calls it in the task of asyncio that runs the
  job.
- `on_job_start` sets the values in this task. arq then starts the function in another one, with a
  copy of the context, so no other job sees the variables that the function sets.
- `on_startup` takes the values of the code that starts the worker away, because the worker enqueues
  cron jobs itself.

A job that is retried is the same dict, and so it has the values of the first time.
"""

from __future__ import annotations

import pickle
from typing import Any

from arq import ArqRedis, Worker

from ctxvars._core import ContextVar
from ctxvars._missing import MISSING
from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER
from ctxvars._portable.headers.extract import Accept
from ctxvars._portable.headers.signing import Signer
from ctxvars._portable.processes.payload import clear_portable
from ctxvars.integrations._shared.options import Options, checked_options

__all__ = ["install", "uninstall"]

_text: ContextVar[object] = ContextVar("ctxvars.integrations.arq.text", default=None)
"""The text that the job of this context has brought."""


def install(
    target: Any,
    *,
    to: Level = "internal",
    accept: Accept = "internal",
    signer: Signer | None = None,
) -> None:
    """Let jobs run with the portable variables of the code that enqueued them.

    Args:
        target: a pool (`arq.ArqRedis`), which enqueues jobs; a worker (`arq.Worker`), or its
            settings, a class or a dict, as for the command `arq`. A worker that makes its pool
            itself enqueues jobs with values, too.
        to, signer: as for `ctxvars.inject`.
        accept: as for `ctxvars.extract`.

    A second call replaces the options.

    Raises:
        TypeError: `target` is of another type, or an option is.
        ValueError: `to` or `accept` is not a level.

    An exception of an encoder is the cause of the `SerializationError` that `enqueue_job` raises.
    O(declared variables + length of the text) for each job.
    """
    names = _names(target)
    if not names:
        raise TypeError(
            "install() argument 'target' must be an arq.ArqRedis, an arq.Worker or the settings "
            f"of a worker, got {target!r}"
        )
    options = checked_options("install", to, accept, signer)
    for name in names:
        found = _get(target, name)
        if not isinstance(found, _Replaced):
            found = _REPLACED[name](found)
            _set(target, name, found)
        found.options = options


def uninstall(target: Any) -> None:
    """Undo `install`.

    Raises:
        ValueError: it is not installed for `target`.
    """
    replaced = {
        name: found for name in _names(target) if isinstance(found := _get(target, name), _Replaced)
    }
    if not replaced:
        raise ValueError(f"ctxvars.integrations.arq is not installed for {target!r}")
    for name, found in replaced.items():
        _set(target, name, found.original)


def _names(target: Any) -> tuple[str, ...]:
    """Return the options to replace."""
    if isinstance(target, ArqRedis):
        return ("job_serializer",)
    return tuple(_REPLACED) if isinstance(target, Worker | type | dict) else ()


def _get(target: Any, name: str) -> Any:
    # The settings are the attributes of the class itself, without those of its bases.
    return (target if isinstance(target, dict) else vars(target)).get(name, MISSING)


def _set(target: Any, name: str, value: Any) -> None:
    if isinstance(target, dict):
        if value is MISSING:
            del target[name]
        else:
            target[name] = value
    elif value is MISSING:
        delattr(target, name)
    else:
        setattr(target, name, value)


class _Replaced:
    """What takes the place of an option."""

    options: Options

    def __init__(self, original: Any) -> None:
        self.original = original

    @property
    def function(self) -> Any:
        """The function that the program has set, or `None`."""
        return None if self.original is MISSING else self.original


class _Serializer(_Replaced):
    def __call__(self, data: dict[str, Any]) -> bytes:
        # The results of jobs have values of the worker, which would only take space.
        if "r" not in data:
            data = self.options.inject(data)
        serialized: bytes = (self.function or pickle.dumps)(data)
        return serialized


class _Deserializer(_Replaced):
    def __call__(self, serialized: bytes) -> Any:
        data = (self.function or pickle.loads)(serialized)
        _text.set(data.get(HEADER) if isinstance(data, dict) else None)
        return data


class _JobStart(_Replaced):
    async def __call__(self, ctx: dict[Any, Any]) -> None:
        self.options.extract({HEADER: _text.get()}).__enter__()
        if self.function is not None:
            await self.function(ctx)


class _Startup(_Replaced):
    async def __call__(self, ctx: dict[Any, Any]) -> None:
        clear_portable()
        if self.function is not None:
            await self.function(ctx)


_REPLACED: dict[str, type[_Replaced]] = {
    "job_serializer": _Serializer,
    "job_deserializer": _Deserializer,
    "on_job_start": _JobStart,
    "on_startup": _Startup,
}
