"""Files of timelines: what is saved is loaded, and bad files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxvars import ContextVar, Timeline, record
from ctxvars._pages.timeline import page_data
from ctxvars._recording.events import KINDS
from ctxvars._recording.files import from_section, section, to_json
from ctxvars._recording.trace_events import trace_events
from tests.support.recording.rows import Rows, many, server, user


def test_a_loaded_timeline_equals_the_saved_one(tmp_path: Path) -> None:
    other: ContextVar[Any] = ContextVar("user")
    with record(values=True) as timeline:
        user.set("Ada")
        other.set("\ud800 <b>")
        with pytest.raises(LookupError):
            ContextVar("missing").get()
    file = tmp_path / "run.json"
    timeline.save(file)
    loaded = Timeline.load(str(file))
    assert loaded.events() == timeline.events()
    assert loaded._read() == timeline._read()
    assert str(loaded.contexts()) == str(timeline.contexts())
    assert {event.variable for event in loaded.events()} == {None}
    # Variables of equal names stay apart by their numbers; a variable stands for its name.
    assert [event.variable_number for event in loaded.events()] == [0, 1, 2]
    assert len(loaded.history(user)) == len(loaded.history("user")) == 2


def test_a_loaded_timeline_can_be_saved_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    server().timeline().save(first)
    Timeline.load(first).save(second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().isascii()


def test_an_existing_file_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text("x" * 1_000_000)
    server().timeline().save(file)
    assert len(Timeline.load(file)) == 11


@pytest.mark.parametrize("name", ["run.txt", "run", ".json", "html"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"must end in \.html or \.json"):
        server().timeline().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


BAD = {
    "": "is not a JSON file",
    "{": "is not a JSON file",
    "\0": "is not a JSON file",
    "[" * 100_000: "is not a JSON file",
    "[]": "has no section 'ctxvars'",
    '{"traceEvents": []}': "has no section 'ctxvars'",
    '{"ctxvars": []}': "has no section 'ctxvars'",
    '{"ctxvars": {}}': "has the format None",
    '{"ctxvars": {"format": 2}}': "has the format 2, and this version of ctxvars reads",
    '{"ctxvars": {"format": 1}}': "is damaged: KeyError: 'files'",
}


@pytest.mark.parametrize(("content", "problem"), BAD.items(), ids=range(len(BAD)))
def test_other_files_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"run\.json' ") as caught:
        Timeline.load(file)
    assert problem in str(caught.value)


def test_a_page_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Timeline.load(tmp_path / "run.json")
    page = tmp_path / "run.html"
    server().timeline().save(page)
    with pytest.raises(ValueError, match="a page cannot be loaded"):
        Timeline.load(page)


WRONG: dict[str, Any] = {
    "number": ("events", 0, 0, "x"),
    "kind": ("events", 0, 1, "jump"),
    "kind that cannot be hashed": ("events", 0, 1, []),
    "variable": ("events", 0, 2, 99),
    "negative variable": ("events", 0, 2, -1),
    "true as a version": ("events", 0, 3, True),
    "context": ("events", 0, 5, None),
    "time": ("events", 0, 7, 1.5),
    "place": ("events", 0, 8, 99),
    "text": ("events", 0, 9, 99),
    "reason": ("events", 0, 10, "x"),
    "item of the texts": ("texts", 0, None, 1),
    "row": ("events", 0, None, []),
    "name of a thread": ("contexts", 0, 5, 1),
    "stack": ("contexts", 0, 7, [99]),
    "stack that is not a list": ("contexts", 0, 7, 1),
    "line": ("places", 0, 1, "1"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_damaged_files_are_refused(tmp_path: Path, wrong: Any) -> None:
    file = tmp_path / "run.json"
    data = json.loads(to_json(server().recording()))
    table, row, column, value = wrong
    if column is None:
        data["ctxvars"][table][row] = value
    else:
        data["ctxvars"][table][row][column] = value
    file.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"run\.json' is damaged: "):
        Timeline.load(file)


numbers = st.integers(-3, 8)
optional = st.none() | numbers


@settings(max_examples=100)
@given(
    st.lists(st.tuples(numbers, st.sampled_from(sorted(KINDS)), *[numbers] * 6), max_size=20),
    st.lists(st.tuples(numbers, optional, *[numbers] * 3), max_size=6),
)
def test_a_recording_that_cannot_have_happened_is_shown(
    events: list[Any], contexts: list[Any]
) -> None:
    data = section(server().recording())
    data["events"] = [
        [
            *(number, kind, None if variable < 0 else variable % 3, *rest),
            *(0 if number % 2 else None, None, None),
        ]
        for number, kind, variable, *rest in events
    ]
    data["contexts"] = [[*row, None, None, [0]] for row in contexts]
    recording = from_section(data)
    assert from_section(section(recording)) == recording
    timeline = Timeline(lambda: recording)
    assert str(timeline.contexts()) is not None
    assert len(page_data(recording)["events"]["kind"]) == len(events)
    json.dumps(trace_events(recording))


def test_the_section_names_threads_and_shares_places() -> None:
    data = section(many(1000).recording())
    assert len(data["places"]) == len(data["files"]) == 1
    assert data["threads"] == {str(number): f"worker-{number}" for number in range(4)} | {
        "1": "worker-1"
    }
    assert data["program"]


REASON = "The thread was started without its context."


def test_reasons_are_saved() -> None:
    data = section(server().recording())
    missing = next(row for row in data["events"] if row[1] == "missing")
    missing[10] = len(data["texts"])
    data["texts"].append(REASON)
    recording = from_section(data)
    assert [event.reason for event in recording.events if event.reason] == [REASON]
    assert REASON in to_json(recording)
    assert REASON in page_data(recording)["texts"]


def test_an_empty_timeline_is_saved(tmp_path: Path) -> None:
    timeline = Rows().timeline()
    for name in ("run.json", "run.html"):
        timeline.save(tmp_path / name)
    assert Timeline.load(tmp_path / "run.json").events() == ()
