"""The trace-event format, which Perfetto, chrome://tracing and vizviewer show.

Each task and each thread is a track. In a track, a slice for each context contains the slices of
its values. The format demands that the slices of a track are nested, which values of different
variables need not be: what does not fit goes to another row of the same task or thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ctxvars._recording.events import ContextBranch, Event, Place, Recording
from ctxvars._recording.spans import last_signs, makers, spans_of

PROCESS = 1
FIRST_TRACK = 2
"""Perfetto takes 0 for the idle thread, and the number of the process for its main thread."""
MOST_FRAMES = 8
"""The frames of a stack. `Timeline.load` does not read them, so it finds all."""
Json = dict[str, Any]


class Tracks:
    """The tracks, and the ends of the slices that are open in each of them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str | None], list[int]] = {}
        self._open: dict[int, list[int]] = {}
        self.names: dict[int, str] = {}

    def place(self, branch: ContextBranch, start: int, end: int) -> int:
        """Return the first track of a task or thread in which a slice is nested.

        Slices must come in the order of their starts.
        """
        rows = self._rows.setdefault((branch.thread, branch.task_name), [])
        for track in rows:
            ends = self._open[track]
            while ends and ends[-1] <= start:
                ends.pop()
            if not ends or ends[-1] >= end:
                ends.append(end)
                return track
        track = FIRST_TRACK + len(self.names)
        self.names[track] = branch.label + (f", row {len(rows) + 1}" if rows else "")
        self._open[track] = [end]
        rows.append(track)
        return track


def trace_events(recording: Recording) -> list[Json]:
    """Return the events of a trace: O(events x log events)."""
    branches = {branch.number: branch for branch in recording.branches}
    origin = min((branch.nanoseconds for branch in recording.branches), default=0)
    ends = last_signs(recording)
    tracks = Tracks()
    slices: list[tuple[int, int, ContextBranch, Json]] = []
    for branch in recording.branches:
        details: Json = {"stack": [str(place) for place in branch.stack[:MOST_FRAMES]]}
        if branch.parent is not None:
            details["copied from"] = f"context {branch.parent}"
        body: Json = {"name": f"context {branch.number}", "cat": "context", "args": details}
        slices.append((branch.nanoseconds, ends[branch.number], branch, body))
    for span in spans_of(recording):
        branch = branches[span.set_by.context]
        body = {"name": span.set_by.name, "cat": "variable", "args": arguments(span.set_by)}
        if span.ended_by:
            body["args"]["ended by"] = str(span.ended_by)
        slices.append((span.start, span.end, branch, body))
    # Contexts before their values; a longer slice before a shorter one that it contains.
    slices.sort(key=lambda it: (it[0], it[3]["cat"] != "context", -it[1]))
    found: list[Json] = []
    track_of: dict[int, int] = {}
    for start, end, branch, body in slices:
        track = tracks.place(branch, start, end)
        # The slice of a context comes before those of its values.
        track_of.setdefault(branch.number, track)
        at = {"ph": "X", "pid": PROCESS, "tid": track, "ts": (start - origin) / 1000}
        found.append(body | at | {"dur": (end - start) / 1000})
    for event in recording.events:
        if event.kind == "missing":
            found.append(
                {
                    "name": f"{event.name} is missing",
                    "cat": "missing",
                    "ph": "i",
                    "s": "t",
                    "pid": PROCESS,
                    "tid": track_of[event.context],
                    "ts": (event.nanoseconds - origin) / 1000,
                    "args": arguments(event),
                }
            )
    found += flows(recording, branches, track_of, origin)
    return [*names(tracks, recording), *found]


def flows(
    recording: Recording, branches: dict[int, ContextBranch], track_of: dict[int, int], origin: int
) -> Iterator[Json]:
    """Yield arrows: from the event whose values a context was copied with, to the context."""
    made = makers(recording)
    for branch in recording.branches:
        if branch.parent is None or branch.parent not in branches:
            continue
        maker = made.get(branch.parent_version)
        # The event may be lost, while its context is known.
        start = maker.nanoseconds if maker else branches[branch.parent].nanoseconds
        common = {"name": "copy", "cat": "copy", "id": branch.number, "pid": PROCESS}
        out = {"ph": "s", "tid": track_of[branch.parent]}
        into = {"ph": "f", "bp": "e", "tid": track_of[branch.number]}
        yield common | out | {"ts": (start - origin) / 1000}
        yield common | into | {"ts": (branch.nanoseconds - origin) / 1000}


def names(tracks: Tracks, recording: Recording) -> Iterator[Json]:
    program = " ".join(recording.program) or "Python"
    yield metadata("process_name", PROCESS, name=program)
    for track, name in tracks.names.items():
        yield metadata("thread_name", track, name=name)
        yield metadata("thread_sort_index", track, sort_index=track)


def metadata(kind: str, track: int, **arguments: Any) -> Json:
    return {"name": kind, "ph": "M", "pid": PROCESS, "tid": track, "args": arguments}


def arguments(event: Event) -> Json:
    """Return the details of an event that viewers show."""
    place: Place | None = event.place
    details: Json = {"kind": event.kind, "context": event.context, "event": event.number}
    if place:
        details["place"] = str(place)
    if event.text is not None:
        details["value"] = event.text
    if event.reason is not None:
        details["reason"] = event.reason
    return details
