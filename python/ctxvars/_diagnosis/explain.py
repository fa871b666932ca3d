"""Explanations of the missing values of a timeline, which may have been loaded from a file."""

from __future__ import annotations

import dataclasses

from ctxvars._diagnosis.explanation import Explanation
from ctxvars._diagnosis.lineage import Changes, Lineage, Position, marks_of
from ctxvars._diagnosis.remedies import Boundary
from ctxvars._diagnosis.verdict import boundary_of_branch
from ctxvars._diagnosis.why import explain_missing
from ctxvars._recording.events import Event, Recording


class Explainer:
    """Explains events of the kind "missing" of one recording. O(events) to make."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._changes = Changes.of_marks(marks_of(recording.events))
        self._lineages: dict[int, Lineage] = {}
        self._boundaries: dict[int, Boundary | None] = {}
        self._reasons: dict[tuple[int | None, ...], str] = {}

    def explain(self, event: Event) -> Explanation:
        """Explain why a value was missing.

        The stack of the context at its first event stands for that of the missing value.

        Raises:
            ValueError: the event is of another kind than "missing".

        O(length of the chain of versions), and O(events) for the first event of a variable.
        """
        if event.kind != "missing" or event.name is None or event.variable_number is None:
            raise ValueError(f"explain() takes an event of the kind 'missing', got {event}")
        lineage = self._lineage(event.variable_number)
        branch = lineage.branches.get(event.context)
        if event.context not in self._boundaries:
            self._boundaries[event.context] = boundary_of_branch(branch)
        return explain_missing(
            event.name,
            lineage,
            Position(event.version, event.context),
            event.place,
            self._boundaries[event.context],
            thread_here=event.thread,
            task_here=branch.task_name if branch else None,
            stack_here=lambda: branch.stack if branch else (),
            before=event.number,
        )

    def reason(self, event: Event) -> str:
        """Return the summary of the explanation.

        O(1) if the variable has not been set since an earlier event in the context.
        """
        number = event.variable_number
        sets = None if number is None else self._lineage(number).sets_before(event.number)
        key = (number, event.context, event.version, sets)
        if key not in self._reasons:
            self._reasons[key] = self.explain(event).summary
        return self._reasons[key]

    def _lineage(self, variable_number: int) -> Lineage:
        if variable_number not in self._lineages:
            self._lineages[variable_number] = Lineage.of_recording(
                self._recording, variable_number, self._changes
            )
        return self._lineages[variable_number]


def with_reasons(recording: Recording) -> Recording:
    """Return the recording, in which each missing value has a reason.

    O(events), and for each missing value O(length of its chain of versions).
    """
    if not any(event.kind == "missing" for event in recording.events):
        return recording
    explainer = Explainer(recording)
    return dataclasses.replace(
        recording,
        events=tuple(
            dataclasses.replace(event, reason=explainer.reason(event))
            if event.kind == "missing" and event.reason is None
            else event
            for event in recording.events
        ),
    )
