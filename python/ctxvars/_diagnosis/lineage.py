"""Where a variable was set, as seen from one context: over the versions of a recording.

Each change of the values of a context makes a new version from the one before it, its parent. So
the versions of a process are a tree. The versions from the current one to the root are the *chain*
of a context: the changes that it has made, and those that it was copied with.

    0 --- 1 --- 4      context 1: set at 1, set again at 4
           \\
            2 --- 3    context 2: a copy of context 1, made after 1; its chain is 3, 2, 1, 0

A context that has lost its last value has the version 0 again, like all empty contexts. A chain
does not end there: it goes on with the event that emptied the context, by its step. If variables
are not set in place, `reset` restores an earlier version. The first event with a version made it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from ctxvars import _core
from ctxvars._recording.events import (
    CHANGES,
    SETS,
    ContextBranch,
    Event,
    Recording,
    read_rows,
)

Relation: TypeAlias = Literal["removed", "after_copy", "in_copy", "elsewhere"]
"""How a value was lost, as far as versions show it.

"removed": in this context, or in the one that it was copied from, before the copy was made.
"after_copy": set in the context that this one was copied from, after the copy was made.
"in_copy": set in a copy of this context.
"elsewhere": the contexts have no version in common but 0.
"""

REMOVES = CHANGES - SETS

MOST_SETS = 64
"""The events among which the cause of a missing value is sought: the last ones."""


class Position(NamedTuple):
    """A context at one time."""

    version: int
    context: int | None
    """`None` if there has not been an event in the context."""


Step: TypeAlias = int
"""A version, or the number of an event that emptied a context, made negative by `step_of`."""


class Mark(NamedTuple):
    """The part of an event that says how it is related to others. It is cheaper than an `Event`."""

    number: int
    kind: str
    version: int
    parent: int
    context: int | None


Change: TypeAlias = tuple[int, int | None, int]
"""What made a version: the version before it, the context, and the number of the event."""


def step_of(version: int, number: int) -> Step:
    """Return the step of an event with a number, which led to a version."""
    return version or -1 - number


class Changes:
    """The changes of all variables, by their steps."""

    def __init__(self, by_version: dict[int, Change], emptied: list[Mark]) -> None:
        self.by_step = by_version
        self._emptied: dict[int | None, list[int]] = {}  # context -> numbers of events
        for mark in emptied:
            by_version[step_of(0, mark.number)] = (mark.parent, mark.context, mark.number)
            self._emptied.setdefault(mark.context, []).append(mark.number)

    @classmethod
    def of_marks(cls, marks: Iterable[Mark]) -> Changes:
        """Take events. O(events)."""
        marks = [*marks]
        return cls(
            {
                it.version: (it.parent, it.context, it.number)
                for it in reversed(marks)
                if is_change(it)
            },
            [it for it in marks if it.version == 0 and is_change(it)],
        )

    def chain(self, at: Position, before: int | None = None) -> Iterator[Step]:
        """Yield the steps that have led to a position, the last one first. O(length)."""
        version, context = at
        step = version
        while True:
            yield step
            if step == 0:
                numbers = self._emptied.get(context, ())
                index = len(numbers) if before is None else bisect_left(numbers, before)
                if index == 0:
                    return
                step = step_of(0, numbers[index - 1])
                continue
            change = self.by_step.get(step)
            # Causes come before effects, so this ends, whatever a file says.
            if change is None or (before is not None and change[2] >= before):
                return
            step, context, before = change


def is_change(mark: Mark) -> bool:
    """Whether an event has made a version: a newer one than before, or the empty one."""
    return mark.version > mark.parent or (mark.version == 0 and mark.parent > 0)


class Lineage:
    """The events of one variable, and the tree of all versions.

    Attributes:
        branches: the contexts, by their numbers.
        lost: the number of events that were dropped.
    """

    def __init__(
        self,
        marks: list[Mark],
        event: Callable[[int], Event],
        changes: Changes,
        branches: dict[int, ContextBranch],
        lost: int,
    ) -> None:
        """Take the marks of the variable, and a function from their numbers to their events."""
        self.event = event
        self.branches = branches
        self.lost = lost
        self._marks = marks
        self._changes = changes
        self._by_step = {
            step_of(it.version, it.number): it for it in reversed(marks) if is_change(it)
        }
        self._sets = [it for it in marks if it.kind in SETS and is_change(it)]
        self._ancestors: dict[int | None, frozenset[int]] = {}
        self._by_context: dict[int | None, list[Mark]] = {}

    @classmethod
    def of_recording(cls, recording: Recording, variable_number: int, changes: Changes) -> Lineage:
        """Take the events of a variable. O(events)."""
        events = {
            event.number: event
            for event in recording.events
            if event.variable_number == variable_number
        }
        return cls(
            [*marks_of(events.values())],
            events.__getitem__,
            changes,
            {branch.number: branch for branch in recording.branches},
            recording.lost,
        )

    @classmethod
    def recorded(cls, variable: _core.ContextVar[Any]) -> Lineage:
        """Take the events of a variable that are recorded now. O(events)."""
        rows: Any = _core.recorded_events()
        first = rows[0][0] if rows else 0
        changes = Changes(
            {row[3]: (row[4], row[5], row[0]) for row in reversed(rows) if row[3] > row[4]},
            [Mark(row[0], row[1], 0, row[4], row[5]) for row in rows if not row[3] and row[4]],
        )
        return cls(
            [Mark(row[0], row[1], *row[3:6]) for row in rows if row[2] is variable],
            lambda number: read_rows([rows[number - first]], ()).events[0],
            changes,
            {branch.number: branch for branch in read_rows((), _core.recorded_contexts()).branches},
            first,
        )

    def origin(self, at: Position) -> Event | None:
        """Return the event that made the value at a position, or `None` if it is not recorded."""
        undone = 0
        for step in self._changes.chain(at):
            mark = self._by_step.get(step)
            if mark is None:
                continue
            if mark.kind in ("reset", "scope_exit"):
                undone += 1
            elif undone:
                undone -= 1
            elif mark.kind in SETS:
                return self.event(mark.number)
        return None

    def lost_set(
        self, at: Position, *, before: int | None = None, takes_calls: bool = False
    ) -> tuple[Event, Relation] | None:
        """Return the event that set the value which is missing at a position, and how it was lost.

        Args:
            at: the position.
            before: the number of an event; later events do not count.
            takes_calls: whether the context runs calls of different origins, as that of a worker of
                a pool. Then an earlier call that has set the variable is not the cause.

        The last event in a related context is the best one. But a value that was removed before the
        context was made is less likely to be missed than one that was set later elsewhere. `None`
        if no event has set the variable. O(length of the chain + depth of the tree of contexts).
        """
        chain = frozenset(self._changes.chain(at, before))
        by_step = self._changes.by_step
        makers = {by_step[step][1] for step in chain & by_step.keys()}
        related = self.context_and_ancestors(at.context) | makers
        end = len(self._sets) if before is None else self.sets_before(before)
        removed: Mark | None = None
        unrelated: Mark | None = None
        for mark in reversed(self._sets[max(0, end - MOST_SETS) : end]):
            if mark.context == at.context:
                if not takes_calls:
                    return self.event(mark.number), "removed"
                removed = removed or mark
            elif mark.context in related:
                removal = self.removal_of(mark.number)
                if removal is None or step_of(removal.version, removal.number) not in chain:
                    return self.event(mark.number), "after_copy"
                removed = removed or mark
            elif at.context in self.context_and_ancestors(mark.context):
                return self.event(mark.number), "in_copy"
            else:
                unrelated = unrelated or mark
        if unrelated and (takes_calls or not removed or unrelated.number > removed.number):
            return self.event(unrelated.number), "elsewhere"
        return (self.event(removed.number), "removed") if removed else None

    def sets_before(self, number: int) -> int:
        """Return how many events have set the variable before an event. O(log n)."""
        return bisect_left(self._sets, number, key=_number)

    def removal_of(self, number: int) -> Mark | None:
        """Return what took a value away again, in the context in which an event has set it.

        O(events of the context), and O(events) once.
        """
        marks = self._marks_of(self._marks[bisect_left(self._marks, number, key=_number)].context)
        depth = 0
        for each in marks[bisect_right(marks, number, key=_number) :]:
            if each.kind in SETS:
                depth += 1
            elif each.kind == "delete":
                return each
            elif each.kind in REMOVES:
                if not depth:
                    return each
                depth -= 1
        return None

    def _marks_of(self, context: int | None) -> list[Mark]:
        if not self._by_context:
            for mark in self._marks:
                self._by_context.setdefault(mark.context, []).append(mark)
        return self._by_context[context]

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
        return change[1] if change else None


def marks_of(events: Iterable[Event]) -> Iterator[Mark]:
    """Yield the marks of events."""
    for event in events:
        yield Mark(event.number, event.kind, event.version, event.parent, event.context)


def _number(mark: Mark) -> int:
    return mark.number
