"""Explanations of the missing values of a timeline, which may have been loaded from a file."""

from __future__ import annotations

import dataclasses

from ctxvars._diagnosis.explanation import Explanation
from ctxvars._diagnosis.lineage import Changes, Lineage, Position
from ctxvars._diagnosis.verdict import boundary_of_branch
from ctxvars._diagnosis.why import explain_missing
from ctxvars._recording.events import Event, Recording


class Explainer:
    """Explains events of the kind "missing" of one recording. O(events) to make."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._changes = Changes.of_recording(recording)
        self._lineages: dict[int | None, Lineage] = {}

    def explain(self, event: Event) -> Explanation:
        """Explain why a value was missing.

        The stack of the context at its first event stands for that of the missing value.

        Raises:
            ValueError: the event is of another kind than "missing".

        O(length of the chain of versions), and O(events) for the first event of a variable.
        """
        number = event.variable_number
        if event.kind != "missing" or event.name is None or number is None:
            raise ValueError(f"explain() takes an event of the kind 'missing', got {event}")
        if number not in self._lineages:
            lineage = Lineage.of_recording(self._recording, number, self._changes)
            self._lineages[number] = lineage
        lineage = self._lineages[number]
        branch = lineage.branches.get(event.context)
        return explain_missing(
            event.name,
            lineage,
            Position(event.version, event.context),
            event.place,
            boundary_of_branch(branch),
            task_here=branch.task_name if branch else None,
            stack_here=lambda: branch.stack if branch else (),
            before=event.number,
        )


def with_reasons(recording: Recording) -> Recording:
    """Return the recording, in which each missing value has a reason.

    O(events), and for each missing value O(length of its chain of versions).
    """
    explainer = Explainer(recording)
    return dataclasses.replace(
        recording,
        events=tuple(
            dataclasses.replace(event, reason=explainer.explain(event).summary)
            if event.kind == "missing" and event.reason is None
            else event
            for event in recording.events
        ),
    )
