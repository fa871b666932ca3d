"""The trace-event format: each event has the fields that viewers need, and slices are nested."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from ctxvars._recording.files import to_json
from ctxvars._recording.trace_events import trace_events
from tests.support.recording.rows import Rows, locale, many, server, tenant, user

# The fields of each phase that ctxvars writes, from the document "Trace Event Format".
NUMBER = (int, float)
COMMON: dict[str, Any] = {"name": str, "ph": str, "pid": int, "tid": int}
FIELDS: dict[str, dict[str, Any]] = {
    "M": COMMON | {"args": dict},
    "X": COMMON | {"cat": str, "ts": NUMBER, "dur": NUMBER, "args": dict},
    "i": COMMON | {"cat": str, "ts": NUMBER, "s": str, "args": dict},
    "s": COMMON | {"cat": str, "ts": NUMBER, "id": int},
    "f": COMMON | {"cat": str, "ts": NUMBER, "id": int, "bp": str},
}


def read(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """Return the events by phase, as a viewer reads them."""
    data = json.loads(to_json(rows.recording()))
    assert data["displayTimeUnit"] == "ns"
    phases: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in data["traceEvents"]:
        phases[event["ph"]].append(event)
    return phases


def tracks(phases: dict[str, list[dict[str, Any]]]) -> dict[int, str]:
    return {it["tid"]: it["args"]["name"] for it in phases["M"] if it["name"] == "thread_name"}


@pytest.mark.parametrize("rows", [Rows(), server(), many(2000)], ids=["empty", "server", "many"])
def test_each_event_has_the_fields_of_its_phase(rows: Rows) -> None:
    for event in trace_events(rows.recording()):
        fields = FIELDS[event["ph"]]
        assert event.keys() == fields.keys(), event
        assert all(isinstance(event[name], kind) for name, kind in fields.items()), event
        assert event.get("ts", 0) >= 0
        assert event.get("dur", 0) >= 0
        assert event.get("s", "t") == "t"
        assert event.get("bp", "e") == "e"


def test_each_task_and_each_thread_is_a_track() -> None:
    phases = read(server())
    names = ["MainThread", "Task-2", "Task-3", "Task-4", "worker"]
    assert list(tracks(phases).values()) == names


def test_values_are_slices_with_their_place_and_value() -> None:
    phases = read(server())
    names = tracks(phases)
    found = next(it for it in phases["X"] if it["args"].get("value") == "'Ada'")
    assert (found["name"], names[found["tid"]]) == ("user", "Task-2")
    assert found["args"]["place"].endswith(" in function")
    # In microseconds, from the first event.
    assert (found["ts"], found["dur"]) == (1000, 8000)
    scope = next(it for it in phases["X"] if it["name"] == "tenant")
    assert scope["args"]["ended by"].startswith("scope exit tenant in context 2, ")
    context = next(it for it in phases["X"] if it["name"] == "context 2")
    assert context["args"]["copied from"] == "context 1"
    assert len(context["args"]["stack"]) == 3


def test_missing_values_are_instants() -> None:
    phases = read(server())
    (missing,) = phases["i"]
    assert missing["name"] == "user is missing"
    assert tracks(phases)[missing["tid"]] == "worker"


def test_arrows_lead_from_a_context_to_its_copies() -> None:
    phases = read(server())
    names = tracks(phases)
    arrows = [
        (names[start["tid"]], names[end["tid"]], start["ts"])
        for start, end in zip(phases["s"], phases["f"], strict=True)
        if start["id"] == end["id"]
    ]
    # From the set after which the context was copied.
    assert arrows == [
        ("MainThread", "Task-2", 0),
        ("MainThread", "Task-3", 0),
        ("Task-2", "Task-4", 2000),
    ]


def test_each_end_of_an_arrow_is_in_a_slice() -> None:
    phases = read(many(2000))
    slices = defaultdict(list)
    for it in phases["X"]:
        slices[it["tid"]].append((it["ts"], it["ts"] + it["dur"]))
    for it in phases["s"] + phases["f"]:
        assert any(start <= it["ts"] <= end for start, end in slices[it["tid"]])


@pytest.mark.parametrize("count", [11, 500, 3000])
def test_the_slices_of_a_track_are_nested(count: int) -> None:
    rows = server() if count == 11 else many(count)
    open_slices: dict[int, list[float]] = defaultdict(list)
    for it in read(rows)["X"]:
        ends = open_slices[it["tid"]]
        while ends and ends[-1] <= it["ts"]:
            ends.pop()
        end = it["ts"] + it["dur"]
        assert not ends or end <= ends[-1]
        ends.append(end)


def test_values_that_are_not_nested_are_in_two_rows() -> None:
    rows = Rows()
    rows.context(1, task="main")
    rows.event("set", user, 1)
    rows.event("set", tenant, 1)
    rows.event("reset", user, 1)
    rows.event("reset", tenant, 1)
    rows.event("set", locale, 1)
    phases = read(rows)
    assert list(tracks(phases).values()) == ["main", "main, row 2"]
    by_name = {it["name"]: it["tid"] for it in phases["X"]}
    assert by_name == {"context 1": 2, "user": 2, "tenant": 3, "locale": 2}
