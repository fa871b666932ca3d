"""Where a variable was set, as seen from one context: over the versions of a recording.

Each change of the values of a context makes a new version from the one before it, its parent. So
the versions of a process are a tree. The versions from the current one to the root are the *chain*
of a context: the changes that it has made, and those that it was copied with.

    0 --- 1 --- 4      context 1: set at 1, set again at 4
           \\
            2 --- 3    context 2: a copy of context 1, made after 1; its chain is 3, 2, 1, 0
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from ctxvars import _core
from ctxvars._recording.events import ContextBranch, Event, EventRow, read_rows
from ctxvars._recording.timeline import Timeline

Relation: TypeAlias = Literal["removed", "after_copy", "in_copy", "elsewhere"]
"""How a value was lost, as far as versions show it.

"removed": in this context, or in the one that it was copied from, before the copy was made.
"after_copy": set in the context that this one was copied from, after the copy was made.
"in_copy": set in a copy of this context.
"elsewhere": the contexts have no version in common but 0.
"""

SETS = frozenset({"set", "scope_enter", "apply"})
REMOVES = frozenset({"reset", "scope_exit", "delete"})


class Position(NamedTuple):
    """A context at one time."""

    version: int
    context: int | None
    """`None` if there has not been an event in the context."""


class Change(NamedTuple):
    """A step from one version to the next."""

    parent: int
    context: int


@dataclass(slots=True)
class Lineage:
    """The events of one variable, oldest first, and the tree of all versions."""

    events: list[Event]
    changes: dict[int, Change]
    branches: dict[int, ContextBranch]
    lost: int = 0
    _of_context: dict[int | None, set[int]] = field(default_factory=dict)

    @classmethod
    def of_timeline(cls, timeline: Timeline, belongs: Callable[[Event], bool]) -> Lineage:
        """Take the events of a timeline that belong to the variable. O(events)."""
        events = timeline.events()
        tree = timeline.contexts()
        return cls(
            [event for event in events if belongs(event)],
            changes_of((event.version, event.parent, event.context) for event in events),
            {node.branch.number: node.branch for _, node in tree.walk()},
            timeline.lost,
        )

    @classmethod
    def recorded(cls, variable: _core.ContextVar[Any]) -> Lineage:
        """Take the events of a variable that are recorded now.

        O(events), but only events of the variable become objects.
        """
        rows: list[EventRow] = _core.recorded_events()
        recording = read_rows(
            [row for row in rows if row[2] is variable], _core.recorded_contexts()
        )
        return cls(
            list(recording.events),
            changes_of((row[3], row[4], row[5]) for row in rows),
            {branch.number: branch for branch in recording.branches},
            rows[0][0] if rows else 0,
        )

    def until(self, event: Event) -> Lineage:
        """Return the lineage as it was before an event."""
        events = [each for each in self.events if each.number < event.number]
        return Lineage(events, self.changes, self.branches, self.lost)

    def chain(self, version: int) -> list[int]:
        """Return a version and those that it was made from. O(length)."""
        versions = [version]
        # Parents are older, so this ends, whatever a file says.
        while (change := self.changes.get(version)) and change.parent < version:
            version = change.parent
            versions.append(version)
        return versions

    def origin(self, version: int) -> Event | None:
        """Return the event that made the current value, or `None` if it is not recorded."""
        by_version: dict[int, list[Event]] = {}
        for event in self.events:
            if event.version > event.parent:
                by_version.setdefault(event.version, []).append(event)
        undone = 0
        for each in self.chain(version):
            for event in reversed(by_version.get(each, [])):
                if event.kind in ("reset", "scope_exit"):
                    undone += 1
                elif undone:
                    undone -= 1
                elif event.kind in SETS:
                    return event
        return None

    def lost_set(
        self, at: Position, *, starts_empty: bool = False
    ) -> tuple[Event, Relation] | None:
        """Return the event that set the value which is missing at a position, and how it was lost.

        Args:
            at: the position.
            starts_empty: whether calls in this context come from elsewhere, as those of a pool do.
                Then an earlier call that has set the variable is not the cause.

        The last event in a related context is the best one. But a value that was removed before the
        context was made is less likely to be missed than one that was set later elsewhere. `None`
        if no event has set the variable. O(events x depth of the tree of contexts).
        """
        chain = frozenset(self.chain(at.version))
        related = self.context_and_ancestors(at.context) | {
            self.changes[version].context for version in chain if version in self.changes
        }
        others: dict[bool, tuple[Event, Relation]] = {}  # whether the value was removed -> event
        for event in reversed(self.events):
            if event.kind not in SETS or event.version == event.parent:
                continue
            if event.context == at.context:
                if not starts_empty:
                    return event, "removed"
                others.setdefault(True, (event, "removed"))
            elif event.context in related:
                removed = self.removal_of(event)
                if removed is None or removed.version not in chain:
                    return event, "after_copy"
                others.setdefault(True, (event, "removed"))
            elif at.context in self.context_and_ancestors(event.context):
                return event, "in_copy"
            else:
                others.setdefault(False, (event, "elsewhere"))
        if starts_empty and False in others:
            return others[False]
        return max(others.values(), key=lambda found: found[0].number, default=None)

    def removal_of(self, event: Event) -> Event | None:
        """Return the event that took a value away again, in the context in which it was set."""
        depth = 0
        for each in self.events:
            if each.number <= event.number or each.context != event.context:
                continue
            if each.kind in SETS:
                depth += 1
            elif each.kind == "delete":
                return each
            elif each.kind in REMOVES:
                if not depth:
                    return each
                depth -= 1
        return None

    def context_and_ancestors(self, context: int | None) -> set[int]:
        """Return the number of a context, and of those that it was copied from."""
        if (known := self._of_context.get(context)) is not None:
            return known
        found: set[int] = set()
        number = context
        while number is not None and number not in found:
            found.add(number)
            number = self.branches[number].parent if number in self.branches else None
        self._of_context[context] = found
        return found


def changes_of(steps: Iterable[tuple[int, int, int]]) -> dict[int, Change]:
    """Return the parent of each version, from triples of version, parent and context.

    A scope that is left may restore the version from before it, which keeps its parent.
    """
    return {
        version: Change(parent, context) for version, parent, context in steps if version > parent
    }
