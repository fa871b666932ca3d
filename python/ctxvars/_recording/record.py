"""`record`: records the events of context variables for a block."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from ctxvars import _core
from ctxvars._diagnosis.explain import with_reasons
from ctxvars._diagnosis.why import MissingNotes
from ctxvars._diagnosis.wording import REDACTED, is_secret_name
from ctxvars._public import public
from ctxvars._recording.events import ContextRow, EventRow, Recording, read_rows
from ctxvars._recording.timeline import Timeline

CAPACITY = 65_536


@contextmanager
def record(
    *, capacity: int = CAPACITY, values: bool | Collection[_core.ContextVar[Any]] = False
) -> Iterator[Timeline]:
    """Record the events of all context variables of ctxvars, in all threads, for a block.

    The block may start threads and run tasks, and the timeline may be used in it.

    Args:
        capacity: the number of events to keep. If there are more, the oldest ones are dropped, and
            `Timeline.lost` counts them. An event takes 56 bytes.
        values: whether to keep a text of each value; or the variables to keep it for. It is the
            shortened `repr` of simple built-in values, and the type of others. By default it is
            not made, because it may be secret, and takes time. With `True`, variables with names
            such as "password" or "api_key" have the text "<redacted>".

    Returns:
        A context manager that yields a `Timeline`.

    Raises:
        RuntimeError: a recording is on already.

    O(1), and O(kept events) at the end of the block.

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> with ctxvars.record() as timeline:
    ...     with user.scope("Ada"):
    ...         pass
    >>> [event.kind for event in timeline.events()]
    ['scope_enter', 'scope_exit']
    """
    if _core.is_recording():
        raise RuntimeError(
            "a recording is on already, and there can be only one: use its timeline, or end it"
        )
    _core.start_recording(capacity, values)
    _core.set_missing_hook(MissingNotes())
    read = functools.partial(recorded, redact=values is True)
    timeline = Timeline(lambda: read()())
    try:
        yield timeline
    finally:
        _core.stop_recording()
        _core.set_missing_hook(None)
        timeline._read = read()


public(record)


def finished(program: tuple[str, ...]) -> Timeline:
    """Return the timeline of a program whose recording has been stopped."""
    recording = dataclasses.replace(recorded()(), program=program)
    return Timeline(lambda: recording)


def recorded(*, redact: bool = True) -> Callable[[], Recording]:
    """Return a function that makes objects of what is recorded now, when it is first called.

    Args:
        redact: whether to leave out the values of variables with names of secrets.
    """
    # In this order, each event has its context, even if other threads are recording.
    events = _core.recorded_events()
    if redact:
        events = [redacted(row) for row in events]
    contexts = [with_thread_name(row) for row in _core.recorded_contexts()]
    return functools.cache(lambda: with_reasons(read_rows(events, contexts)))


def redacted(row: EventRow) -> EventRow:
    """Return the row of an event; without the value, if the variable has the name of a secret."""
    variable, text = row[2], row[10]
    if text is None or variable is None or not is_secret_name(variable.name):
        return row
    return (*row[:10], REDACTED)


def with_thread_name(row: ContextRow) -> ContextRow:
    """Return the row of a context with the name of its thread, if that is running.

    A program may start without `threading`, which has the names.
    """
    number, parent, version, when, thread, name, task, stack = row
    if name is None:
        name = next((it.name for it in threading.enumerate() if it.ident == thread), None)
    return number, parent, version, when, thread, name, task, stack
