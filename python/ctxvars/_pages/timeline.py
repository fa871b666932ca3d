"""The page of a timeline: spans of values in lanes, which can be zoomed, filtered and clicked.

The lanes are drawn on a canvas by the script of the page. Libraries were considered:

* vis-timeline makes an element for each span, which is slow from a few thousand spans on.
* Plotly, Bokeh and uPlot draw series of numbers. Lanes that scroll and spans with text would be
  custom code on top of a library of 50 KB to 4 MB.
* d3-zoom and d3-scale would replace about sixty lines, gestures and the ticks of the axis, by
  60 KB in each page.

A well-kept viewer of timelines exists, Perfetto, but no page can contain it. It opens the JSON file
of a timeline, and does more than this page.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ctxvars._pages.document import document
from ctxvars._pages.escape import shortened
from ctxvars._recording.events import ContextBranch, Place, Recording
from ctxvars._recording.files import Table
from ctxvars._recording.spans import last_signs, makers, spans_of, variables_of

MOST_EVENTS = 262_144
"""The newest events that a page shows."""
LONGEST = 300
"""The characters of a text."""
SCRIPTS = ("timeline_model", "timeline_drawing")

Json = dict[str, Any]


def timeline_page(recording: Recording) -> str:
    """Return the page."""
    program = " ".join(recording.program) or "Python"
    title = f"Timeline: {program[:LONGEST]}"
    return document(title, "timeline", page_data(recording), scripts=SCRIPTS)


def page_data(recording: Recording) -> Json:
    """Return what the script reads: O(events x log events).

    Events are columns, to make the page small. References are indexes, and -1 stands for none.
    """
    if dropped := max(0, len(recording.events) - MOST_EVENTS):
        newest = recording.events[dropped:]
        recording = dataclasses.replace(recording, events=newest, lost=recording.lost + dropped)
    events = recording.events
    index_of = {event.number: index for index, event in enumerate(events)}
    made = makers(recording)
    contexts = {branch.number: index for index, branch in enumerate(recording.branches)}
    origin = min((branch.nanoseconds for branch in recording.branches), default=0)
    ends = last_signs(recording)
    freed = {event.context for event in events if event.kind == "drop"}
    files, places, stacks, texts = Table(), Table(), Table(), Table()

    def place_number(place: Place | None) -> int:
        return -1 if place is None else places[place]

    def text_number(text: str | None, most: int = LONGEST) -> int:
        return -1 if text is None else texts[shortened(text, most)]

    def context_row(branch: ContextBranch) -> list[Any]:
        parent = contexts.get(branch.parent, -1) if branch.parent is not None else -1
        maker = made.get(branch.parent_version)
        return [
            branch.number,
            # A file may say anything; a context is older than its copies.
            parent if parent < contexts[branch.number] else -1,
            -1 if maker is None else index_of[maker.number],
            text_number(branch.thread_name or f"thread {branch.thread}"),
            text_number(branch.task_name),
            branch.nanoseconds - origin,
            ends[branch.number] - origin,
            stacks[tuple(places[place] for place in branch.stack)],
            int(branch.number in freed),
        ]

    columns: Json = {
        "kind": [event.kind.replace("_", " ") for event in events],
        "variable": [none_as_minus(event.variable_number) for event in events],
        "context": [contexts[event.context] for event in events],
        "time": [event.nanoseconds - origin for event in events],
        "place": [place_number(event.place) for event in events],
        "text": [text_number(event.text) for event in events],
        "reason": [text_number(event.reason, 3 * LONGEST) for event in events],
    }
    kinds = Table()
    columns["kind"] = [kinds[kind] for kind in columns["kind"]]
    context_rows = [context_row(branch) for branch in recording.branches]
    spans = [
        [
            index_of[span.began_by.number],
            index_of[span.set_by.number],
            -1 if span.ended_by is None else index_of[span.ended_by.number],
        ]
        for span in spans_of(recording)
    ]
    place_rows = [
        [files[shortened(place.file, LONGEST)], place.line, shortened(place.function, LONGEST)]
        for place in places
    ]
    return {
        "program": shortened(" ".join(recording.program) or "Python", LONGEST),
        "python": shortened(recording.python, LONGEST),
        "lost": recording.lost,
        "kinds": list(kinds),
        "variables": [shortened(name, LONGEST) for name in variables_of(events)],
        "files": list(files),
        "places": place_rows,
        "stacks": [list(stack) for stack in stacks],
        "texts": list(texts),
        "events": columns,
        "contexts": context_rows,
        "spans": spans,
    }


def none_as_minus(number: int | None) -> int:
    return -1 if number is None else number
