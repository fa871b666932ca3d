"""The JSON file of a recording: a trace with the section "ctxvars", which has everything.

    {"traceEvents": [...], "displayTimeUnit": "ns", "ctxvars": {
        "format": 1, "python": "3.11.2", "program": ["server.py"], "lost": 0,
        "files": [path, ...],
        "places": [[file, line, function, what its calls make], ...],
        "variables": [name, ...],
        "texts": [text, ...],
        "threads": {thread: name, ...},
        "events": [[number, kind, variable, version, parent, context, thread, nanoseconds, place,
                    text, reason], ...],
        "contexts": [[number, parent, parent version, nanoseconds, thread, thread name, task name,
                      [place, ...]], ...]}}

`file`, `variable`, `place`, `text` and `reason` are indexes of the lists above them, or null; a
reason is one of the texts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ctxvars._recording.events import (
    ALL_MAKES,
    KINDS,
    ContextBranch,
    Event,
    Place,
    Recording,
    recording_of,
)
from ctxvars._recording.spans import variables_of
from ctxvars._recording.trace_events import trace_events

FORMAT = 1
Json = dict[str, Any]


class Table(dict[Any, int]):
    """Numbers keys in the order in which they are first looked up."""

    def __missing__(self, key: Any) -> int:
        self[key] = number = len(self)
        return number


def section(recording: Recording) -> Json:
    """Return the section "ctxvars": O(events + frames)."""
    files, places, texts = Table(), Table(), Table()

    def number(item: Place | str | None, table: Table) -> int | None:
        return None if item is None else table[item]

    events = [
        [
            event.number,
            event.kind,
            event.variable_number,
            event.version,
            event.parent,
            event.context,
            event.thread,
            event.nanoseconds,
            number(event.place, places),
            number(event.text, texts),
            number(event.reason, texts),
        ]
        for event in recording.events
    ]
    contexts = [
        [
            branch.number,
            branch.parent,
            branch.parent_version,
            branch.nanoseconds,
            branch.thread,
            branch.thread_name,
            branch.task_name,
            [places[place] for place in branch.stack],
        ]
        for branch in recording.branches
    ]
    # This numbers the files, so it comes before the list of files.
    place_rows = [[files[place.file], place.line, place.function, place.makes] for place in places]
    return {
        "format": FORMAT,
        "python": recording.python,
        "program": list(recording.program),
        "lost": recording.lost,
        "files": list(files),
        "places": place_rows,
        "variables": variables_of(recording.events),
        "texts": list(texts),
        "threads": {
            str(branch.thread): branch.thread_name
            for branch in recording.branches
            if branch.thread_name is not None
        },
        "events": events,
        "contexts": contexts,
    }


def to_json(recording: Recording) -> str:
    """Return the text of the file, in ASCII."""
    data = {
        "traceEvents": trace_events(recording),
        "displayTimeUnit": "ns",
        "ctxvars": section(recording),
    }
    return json.dumps(data, separators=(",", ":"))


def read_file(path: Path) -> Recording:
    """Read a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not the JSON file of a recording.
    """
    try:
        data = json.loads(path.read_bytes())
    # Deep nesting is a RecursionError.
    except (ValueError, RecursionError) as error:
        hint = ", a page cannot be loaded" if path.suffix == ".html" else ""
        raise ValueError(f"{str(path)!r} is not a JSON file{hint}: {error}") from None
    if not isinstance(data, dict) or not isinstance(found := data.get("ctxvars"), dict):
        raise ValueError(f"{str(path)!r} has no section 'ctxvars': ctxvars has not recorded it")
    if found.get("format") != FORMAT:
        raise ValueError(
            f"{str(path)!r} has the format {found.get('format')!r}, and this version of ctxvars"
            f" reads the format {FORMAT}"
        )
    try:
        return from_section(found)
    except (LookupError, TypeError, ValueError) as error:
        detail = f"{type(error).__name__}: {error}"
        raise ValueError(f"{str(path)!r} is damaged: {detail}") from error


def from_section(data: Json) -> Recording:
    """Return the recording of a section.

    Raises:
        LookupError, TypeError, ValueError: a part of it is missing, or is not as it should be.
    """
    files = [checked(it, str) for it in data["files"]]
    places = [place_of(row, files) for row in data["places"]]
    names = [checked(it, str) for it in data["variables"]]
    texts = [checked(it, str) for it in data["texts"]]

    def event(row: list[Any]) -> Event:
        number, kind, variable, version, parent, context, thread, when, place, text, reason = row
        if kind not in KINDS:
            raise ValueError(f"there is no kind of events {kind!r}")
        return Event(
            checked(number, int),
            kind,
            None if variable is None else item(names, variable),
            None,
            variable,
            checked(version, int),
            checked(parent, int),
            checked(context, int),
            checked(thread, int),
            checked(when, int),
            None if place is None else item(places, place),
            None if text is None else item(texts, text),
            None if reason is None else item(texts, reason),
        )

    def branch(row: list[Any]) -> ContextBranch:
        number, parent, version, when, thread, thread_name, task_name, stack = row
        return ContextBranch(
            checked(number, int),
            optional(parent, int),
            checked(version, int),
            checked(when, int),
            checked(thread, int),
            optional(thread_name, str),
            optional(task_name, str),
            tuple(item(places, place) for place in stack),
        )

    return recording_of(
        [event(row) for row in data["events"]],
        [branch(row) for row in data["contexts"]],
        lost=checked(data["lost"], int),
        python=checked(data["python"], str),
        program=tuple(checked(it, str) for it in data["program"]),
    )


def place_of(row: list[Any], files: list[str]) -> Place:
    file, line, function, makes = row
    if makes not in ALL_MAKES:
        raise ValueError(f"there is no kind of functions {makes!r}")
    return Place(item(files, file), checked(line, int), checked(function, str), makes)


def checked(value: Any, kind: type) -> Any:
    # `True` is an integer for `isinstance`.
    if type(value) is not kind:
        raise TypeError(f"{value!r} should be of type {kind.__name__}")
    return value


def optional(value: Any, kind: type) -> Any:
    return None if value is None else checked(value, kind)


def item(values: list[Any], index: Any) -> Any:
    """Return an item by its index, which must not be negative."""
    if checked(index, int) < 0:
        raise ValueError(f"the index {index} is negative")
    return values[index]
