"""Where a variable was set, as seen from one context: over the versions of a recording.

Each change of the values of a context makes a new version from the one before it, its parent. So
the versions of a process are a tree. The versions from the current one to the root are the *chain*
of a context: the changes that it has made, and those that it was copied with.

    0 --- 1 --- 4      context 1: set at 1, set again at 4
           \\
            2 --- 3    context 2: a copy of context 1, made after 1; its chain is 3, 2, 1, 0

A context that has lost its last value has the version 0 again, like all empty contexts. A chain
does not end there: it goes on with the event that emptied the context, by its step.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

from ctxvars import _core
from ctxvars._recording.events import ContextBranch, Event, Recording, read_rows

Relation: TypeAlias = Literal["removed", "after_copy", "in_copy", "elsewhere"]
"""How a value was lost, as far as versions show it.

"removed": in this context, or in the one that it was copied from, before the copy was made.
"after_copy": set in the context that this one was copied from, after the copy was made.
"in_copy": set in a copy of this context.
"elsewhere": the contexts have no version in common but 0.
"""

SETS = frozenset({"set", "scope_enter", "apply"})
REMOVES = frozenset({"reset", "scope_exit", "delete"})


MOST_SETS = 64
"""The events among which the cause of a missing value is sought: the last ones."""


class Position(NamedTuple):
    """A context at one time."""

    version: int
    context: int | None
    """`None` if there has not been an event in the context."""


Step: TypeAlias = int
"""A version, or the number of an event that emptied a context, made negative by `step_of`."""


class Change(NamedTuple):
    """What made a version from the one before it."""

    parent: int
    context: int | None
    number: int


def step_of(version: int, number: int) -> Step:
    """Return the step of an event with a number, which led to a version."""
    return version or -1 - number


def is_change(version: int, parent: int) -> bool:
    """Whether an event has made a version: a newer one than before, or the empty one."""
    return version > parent or (version == 0 and parent > 0)


class Changes:
    """The changes of all variables, by their steps."""

    def __init__(self, rows: Iterable[tuple[int, int, int, int | None]]) -> None:
        """Take the number, the version, its parent and the context of each event. O(events)."""
        self.by_step: dict[Step, Change] = {}
        self._emptied: dict[int | None, list[int]] = {}  # context -> numbers of events
        for number, version, parent, context in rows:
            if is_change(version, parent):
                self.by_step[step_of(version, number)] = Change(parent, context, number)
                if version == 0:
                    self._emptied.setdefault(context, []).append(number)

    @classmethod
    def of_recording(cls, recording: Recording) -> Changes:
        """Take the events of a recording. O(events)."""
        return cls(
            (event.number, event.version, event.parent, event.context) for event in recording.events
        )

    def chain(self, at: Position, before: int | None = None) -> list[Step]:
        """Return the steps that have led to a position, the last one first. O(length)."""
        version, context = at
        steps = [version]
        while True:
            if version == 0:
                numbers = self._emptied.get(context, ())
                index = len(numbers) if before is None else bisect_left(numbers, before)
                if index == 0:
                    return steps
                steps.append(step_of(0, numbers[index - 1]))
            change = self.by_step.get(steps[-1])
            # Causes come before effects, so this ends, whatever a file says.
            if change is None or (before is not None and change.number >= before):
                return steps
            version, context, before = change
            steps.append(version)


class Lineage:
    """The events of one variable, and the tree of all versions.

    Attributes:
        branches: the contexts, by their numbers.
        lost: the number of events that were dropped.
    """

    def __init__(
        self,
        events: Iterable[Event],
        changes: Changes,
        branches: dict[int, ContextBranch],
        lost: int = 0,
    ) -> None:
        self.branches = branches
        self.lost = lost
        self._changes = changes
        self._sets: list[Event] = []
        self._by_step: dict[Step, list[Event]] = {}
        self._by_context: dict[int, list[Event]] = {}
        self._ancestors: dict[int | None, frozenset[int]] = {}
        for event in events:
            self._by_context.setdefault(event.context, []).append(event)
            if is_change(event.version, event.parent):
                step = step_of(event.version, event.number)
                self._by_step.setdefault(step, []).append(event)
                if event.kind in SETS:
                    self._sets.append(event)

    @classmethod
    def of_recording(cls, recording: Recording, variable_number: int, changes: Changes) -> Lineage:
        """Take the events of a variable. O(events)."""
        return cls(
            (event for event in recording.events if event.variable_number == variable_number),
            changes,
            {branch.number: branch for branch in recording.branches},
            recording.lost,
        )

    @classmethod
    def recorded(cls, variable: _core.ContextVar[Any]) -> Lineage:
        """Take the events of a variable that are recorded now.

        O(events), but only events of the variable become objects.
        """
        rows: Any = _core.recorded_events()
        of_variable = [row for row in rows if row[2] is variable]
        recording = read_rows(of_variable, _core.recorded_contexts())
        return cls(
            recording.events,
            Changes((row[0], row[3], row[4], row[5]) for row in rows),
            {branch.number: branch for branch in recording.branches},
            rows[0][0] if rows else 0,
        )

    def origin(self, at: Position) -> Event | None:
        """Return the event that made the value at a position, or `None` if it is not recorded."""
        undone = 0
        for step in self._changes.chain(at):
            for event in reversed(self._by_step.get(step, ())):
                if event.kind in ("reset", "scope_exit"):
                    undone += 1
                elif undone:
                    undone -= 1
                elif event.kind in SETS:
                    return event
        return None

    def lost_set(
        self, at: Position, *, before: int | None = None, starts_empty: bool = False
    ) -> tuple[Event, Relation] | None:
        """Return the event that set the value which is missing at a position, and how it was lost.

        Args:
            at: the position.
            before: the number of an event; later events do not count.
            starts_empty: whether calls in this context come from elsewhere, as those of a pool do.
                Then an earlier call that has set the variable is not the cause.

        The last event in a related context is the best one. But a value that was removed before the
        context was made is less likely to be missed than one that was set later elsewhere. `None`
        if no event has set the variable. O(length of the chain + depth of the tree of contexts).
        """
        chain = frozenset(self._changes.chain(at, before))
        by_step = self._changes.by_step
        makers = {by_step[step].context for step in chain & by_step.keys()}
        related = self.context_and_ancestors(at.context) | makers
        end = len(self._sets) if before is None else self.sets_before(before)
        others: dict[bool, tuple[Event, Relation]] = {}  # whether the value was removed -> event
        for event in reversed(self._sets[max(0, end - MOST_SETS) : end]):
            if event.context == at.context:
                if not starts_empty:
                    return event, "removed"
                others.setdefault(True, (event, "removed"))
            elif event.context in related:
                removed = self.removal_of(event)
                if removed is None or step_of(removed.version, removed.number) not in chain:
                    return event, "after_copy"
                others.setdefault(True, (event, "removed"))
            elif at.context in self.context_and_ancestors(event.context):
                return event, "in_copy"
            else:
                others.setdefault(False, (event, "elsewhere"))
        if starts_empty and False in others:
            return others[False]
        return max(others.values(), key=lambda found: found[0].number, default=None)

    def sets_before(self, number: int) -> int:
        """Return how many events have set the variable before an event. O(log n)."""
        return bisect_left(self._sets, number, key=lambda event: event.number)

    def removal_of(self, event: Event) -> Event | None:
        """Return the event that took a value away again, in the context in which it was set."""
        depth = 0
        events = self._by_context[event.context]
        for each in events[bisect_right(events, event.number, key=lambda it: it.number) :]:
            if each.kind in SETS:
                depth += 1
            elif each.kind == "delete":
                return each
            elif each.kind in REMOVES:
                if not depth:
                    return each
                depth -= 1
        return None

    def context_and_ancestors(self, context: int | None) -> frozenset[int]:
        """Return the number of a context, and of those that it was copied from."""
        if (known := self._ancestors.get(context)) is None:
            found: list[int] = []
            number = context
            while number is not None and number not in found:
                found.append(number)
                number = self._parent_of(number)
            self._ancestors[context] = known = frozenset(found)
        return known

    def _parent_of(self, context: int) -> int | None:
        """Return the context that made the version with which a context began."""
        branch = self.branches.get(context)
        change = self._changes.by_step.get(branch.parent_version) if branch else None
        return change.context if change else None
