"""Which boundary has lost a value, from what is known about two contexts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from ctxvars._diagnosis.boundaries import Frame, boundary_of
from ctxvars._diagnosis.lineage import Relation
from ctxvars._diagnosis.remedies import BOUNDARIES, Boundary
from ctxvars._recording.events import ContextBranch

Side: TypeAlias = Literal["inside", "outside"]
"""Where the value is missing: inside of the boundary, or outside of it."""

TAKES_CALLS = frozenset({"pool", "thread_pool", "process_pool", "portable_values", "job"})
"""Boundaries behind which one context runs calls of different origins."""

STARTS_EMPTY = TAKES_CALLS | {"thread", "foreign_thread", "process"}
"""Boundaries behind which code does not start with a copy of the values."""

RUNS_LATER = frozenset({"background", "streaming", "callback", "closed_generator"})
"""Boundaries behind which code runs after the code that has caused it."""

ENDS_WITH_ITS_CALL = frozenset({"sync_call", "copied_call", "copied_thread"}) | STARTS_EMPTY
"""Boundaries behind which code does not create tasks, callbacks or threads that are looked at."""

_NUMBERED = re.compile(r"Task-(\d+)")


class Verdict(NamedTuple):
    """A boundary, and the side on which the value is missing."""

    boundary: Boundary
    side: Side

    @property
    def reason(self) -> str:
        return self.boundary.inside if self.side == "inside" else self.boundary.outside

    @property
    def remedy(self) -> str:
        if self.side == "inside":
            return self.boundary.inside_remedy
        return self.boundary.outside_remedy


THREAD_NAMES = (
    ("ThreadPoolExecutor-", "pool"),
    ("asyncio_", "pool"),  # the default executor of a loop
    ("AnyIO worker thread", "sync_call"),
    ("Thread-", "thread"),
)
"""The boundaries of threads, by the beginning of their names."""


def boundary_of_branch(branch: ContextBranch | None) -> Boundary | None:
    """Return the boundary under which the first event of a context happened.

    The stack may be incomplete: it has 64 frames at most, and only the newest contexts have one.
    Then the name of the thread says what it is.
    """
    if branch is None:
        return None
    found = boundary_of(
        branch.stack, in_task=branch.task_name is not None, inherited=branch.parent_version != 0
    )
    name = branch.thread_name or "MainThread"
    if found is not None or name == "MainThread":
        return found
    if name.startswith("Dummy-"):
        return BOUNDARIES["foreign_thread"]
    boundaries = (boundary for start, boundary in THREAD_NAMES if name.startswith(start))
    return BOUNDARIES[next(boundaries, "thread")]


def judge(
    here: Boundary | None,
    there: Boundary | None,
    relation: Relation,
    *,
    is_same_task: bool,
    is_task_older: bool,
    stack_here: Iterable[Frame],
) -> Verdict:
    """Say which boundary has lost a value.

    Args:
        here: the boundary of the code in which the value is missing.
        there: the boundary of the code that has set it.
        relation: how the contexts of the two are related.
        is_same_task: whether both run in one task, or in one thread without a task. Then the
            program itself has copied the context, or made another one.
        is_task_older: whether the task in which the value is missing is older than the other task.
        stack_here: the stack of the code in which the value is missing.

    O(depth of the stack).
    """
    if relation == "removed":
        runs_later = here is not None and (here.name in RUNS_LATER or here.name == "sync_call")
        return Verdict(here if here and runs_later else BOUNDARIES["after_block"], "inside")
    if is_same_task and (there is None or there.name != "callback"):
        if relation in ("after_copy", "in_copy"):
            side: Side = "inside" if relation == "after_copy" else "outside"
            return Verdict(BOUNDARIES["copy"], side)
        if here and here.name == "task":
            return Verdict(BOUNDARIES["other_context"], "inside")
    if relation == "in_copy":
        return Verdict(there or BOUNDARIES["copy"], "outside")
    if here and here.name in STARTS_EMPTY | RUNS_LATER:
        return Verdict(here, "inside")
    if relation == "after_copy":
        return Verdict(here or BOUNDARIES["copy"], "inside")
    # Both contexts began without values, so the versions do not say which one is a copy.
    if there and there.name in ENDS_WITH_ITS_CALL:
        return Verdict(there, "outside")
    if there and there.name == "base_http_middleware" and _in_middleware(stack_here):
        return Verdict(there, "outside")
    if here is None:
        return (
            Verdict(there, "outside") if there else Verdict(BOUNDARIES["other_context"], "inside")
        )
    if there and there.name in ("task", "callback") and is_task_older:
        return Verdict(there, "outside")
    return Verdict(here, "inside")


def _in_middleware(stack: Iterable[Frame]) -> bool:
    """Whether a `BaseHTTPMiddleware` is on the stack, which has called the application."""
    return any(
        frame.function == "BaseHTTPMiddleware.__call__" and "starlette" in frame.file
        for frame in stack
    )


def is_older(task: str | None, other: str | None) -> bool:
    """Whether the default names of two tasks say that the first one was created before the other.

    A copy of a context is younger than the context.
    """
    numbers = [_NUMBERED.fullmatch(name or "") for name in (task, other)]
    if numbers[0] is None or numbers[1] is None:
        return False
    return int(numbers[0][1]) < int(numbers[1][1])
