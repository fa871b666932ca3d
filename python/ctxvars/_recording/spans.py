"""`spans_of`: from when to when each value of a variable was there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ctxvars._recording.events import CHANGES, SETS, Event, Recording


@dataclass(frozen=True, slots=True)
class Span:
    """The time in which a variable had one value in one context."""

    set_by: Event
    """The event that set the value."""
    began_by: Event
    """`set_by`; or the reset by which the value came back."""
    end: int
    """In nanoseconds."""
    ended_by: Event | None
    """The next set, reset or delete of the variable in its context, if there was one."""

    @property
    def start(self) -> int:
        """In nanoseconds."""
        return self.began_by.nanoseconds


@dataclass(slots=True)
class _Variable:
    """A variable in a context, while the events are read."""

    values: list[Event | None]
    """The current value and those below it, to which resets lead; None after a delete."""
    changed_by: Event
    """The last change."""


def spans_of(recording: Recording) -> list[Span]:
    """Return the spans in which values were there, ordered by their start: O(events x log events).

    A reset is taken to belong to the newest value that has not been reset, because an event does
    not say which token was used; if values are recorded, it leads to a value of its text. A value
    that is never reset ends when its context is freed. If that was not recorded, it ends with the
    last sign of the context: an event in it, or in a copy of it for the first time.
    """
    ends = last_signs(recording)
    variables: dict[tuple[int, int], _Variable] = {}
    found: list[Span] = []
    for event in recording.events:
        if event.variable_number is None or event.kind not in CHANGES:
            continue
        key = event.context, event.variable_number
        variable = variables.get(key)
        if variable is None:
            variable = variables[key] = _Variable([], event)
        close(variable, event.nanoseconds, event, found)
        if event.kind in SETS:
            variable.values.append(event)
        elif event.kind == "delete":
            variable.values.append(None)
        else:
            restore(variable.values, event.text)
        variable.changed_by = event
    for (context, _), variable in variables.items():
        close(variable, max(ends[context], variable.changed_by.nanoseconds), None, found)
    found.sort(key=lambda span: (span.start, span.began_by.number))
    return found


def restore(values: list[Event | None], text: str | None) -> None:
    """Drop the newest value, and those below it that are not the one with the text."""
    if values:
        values.pop()
    while text is not None and values and (value := values[-1]) and value.text not in (None, text):
        values.pop()


def close(variable: _Variable, end: int, event: Event | None, found: list[Span]) -> None:
    if variable.values and (value := variable.values[-1]):
        found.append(Span(value, variable.changed_by, end, event))


def last_signs(recording: Recording) -> dict[int, int]:
    """Return the time of the last sign of each context."""
    ends: dict[int, int] = {branch.number: branch.nanoseconds for branch in recording.branches}
    for event in recording.events:
        ends[event.context] = max(ends[event.context], event.nanoseconds)
    for branch in recording.branches:
        if branch.parent in ends:
            ends[branch.parent] = max(ends[branch.parent], branch.nanoseconds)
    for event in recording.events:
        if event.kind == "drop":
            ends[event.context] = event.nanoseconds
    return ends


def makers(recording: Recording) -> dict[int, Event]:
    """Return the last event that made each version of bindings.

    Empty bindings have the version 0, whatever made them empty, so it is left out.
    """
    return {
        event.version: event
        for event in recording.events
        if event.version and event.version != event.parent
    }


def variables_of(events: Iterable[Event]) -> list[str]:
    """Return the names of the variables, by their numbers."""
    names: dict[int, str] = {}
    for event in events:
        if event.variable_number is not None and event.name is not None:
            names.setdefault(event.variable_number, event.name)
    return [names.get(number, "") for number in range(max(names, default=-1) + 1)]
