"""The operations of frames, for the table in `contexts`."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from ctxvars._core import Frames
from tests.support.allocation.contexts import Case, add

FRAMES = Frames("frames", "default")


def in_a_copy(prepare: Callable[[], object], name: str, *arguments: object) -> Case:
    """Call a method in a copy of the context, after `prepare` was called there."""
    copy = contextvars.copy_context()
    copy.run(prepare)
    method = getattr(FRAMES, name)
    seen = lambda: (FRAMES.get_current(), copy.run(FRAMES.get_current))  # noqa: E731
    return Case(lambda: copy.run(method, *arguments), seen)


def on_frames(name: str, prepare: Callable[[], Case]) -> None:
    add("frames", name, prepare)


def attached() -> Any:
    FRAMES.attach("below")
    return FRAMES.attach("value")


def new() -> Case:
    return Case(lambda: Frames("new", 1).get_current(), FRAMES.get_current)


def attach() -> Case:
    return Case(lambda: FRAMES.attach("value"), FRAMES.get_current)


def get_current() -> Case:
    attached()
    return Case(FRAMES.get_current, FRAMES.get_current)


def detach() -> Case:
    token = attached()
    return Case(lambda: FRAMES.detach(token), FRAMES.get_current)


def detach_below() -> Case:
    token = attached()
    FRAMES.attach("above")
    return Case(lambda: FRAMES.detach(token), FRAMES.get_current)


def detach_in_a_copy() -> Case:
    token = attached()
    return in_a_copy(lambda: None, "detach", token)


def end_the_current_frame() -> None:
    """Detach the current frame in another context."""
    contextvars.Context().run(FRAMES.detach, attached())


on_frames("new frames", new)
on_frames("attach", attach)
on_frames("get_current", get_current)
on_frames("detach", detach)
on_frames("detach below", detach_below)
on_frames("detach in a copy", detach_in_a_copy)
on_frames("get an ended one", lambda: in_a_copy(end_the_current_frame, "get_current"))
on_frames("attach to an ended one", lambda: in_a_copy(end_the_current_frame, "attach", "new"))
