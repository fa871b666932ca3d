"""`ContextTree`, as an object and as text; the tree in the terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from ctxvars._recording.terminal import show
from tests.support.recording.rows import Rows, locale, server, tenant, user


def printed(rows: Rows) -> str:
    output = StringIO()
    show(rows.timeline(), Console(file=output, width=200))
    return output.getvalue()


def chain(length: int) -> Rows:
    """Contexts, each copied from the one before."""
    rows = Rows()
    for number in range(1, length + 1):
        rows.context(number, number - 1 or None)
        rows.event("set", user, number)
    return rows


def test_contexts_are_below_the_contexts_that_they_were_copied_from() -> None:
    tree = server().timeline().contexts()
    assert [(depth, node.branch.number) for depth, node in tree.walk()] == [
        (0, 1),
        (1, 2),
        (2, 4),
        (1, 3),
        (0, 5),
    ]
    assert len(tree) == 5
    assert [node.branch.number for node in tree] == [1, 5]
    assert tree[4].branch.task_name == "Task-4"
    assert [event.kind for event in tree[4].events] == ["set", "reset", "drop"]
    assert repr(tree) == "<ctxvars.ContextTree contexts: 5>"
    assert repr(tree[2]) == "<ctxvars.ContextNode 2, children: 1>"


def test_the_text_of_a_tree_shows_depths_and_changes() -> None:
    lines = str(server().timeline().contexts()).split("\n")
    assert lines[0].startswith("context 1: MainThread, ")
    assert lines[0].endswith(" in function: set locale")
    assert lines[2].startswith("    context 4: Task-4, ")
    assert lines[2].endswith(": set locale, reset locale")
    assert lines[4].endswith(": missing user")


def test_changes_are_counted_and_their_number_is_bounded() -> None:
    rows = Rows()
    rows.context(1)
    for kind in ("set", "reset", "set", "delete"):
        rows.event(kind, user, 1)
    (node,) = rows.timeline().contexts()
    assert node.changes() == "set user 2 times, reset user, delete user"
    for variable in (tenant, locale):
        rows.event("set", variable, 1)
        rows.event("reset", variable, 1)
    (node,) = rows.timeline().contexts()
    assert node.changes().count(",") == 6
    assert node.changes().endswith(", ...")


def test_deep_trees() -> None:
    tree = chain(5000).timeline().contexts()
    assert max(depth for depth, _ in tree.walk()) == 4999
    assert str(tree).count("\n") == 4999
    output = printed(chain(5000))
    assert "4,987 contexts below depth 12 are left out" in output


def test_the_tree_in_the_terminal() -> None:
    output = printed(server())
    assert output.split("\n")[0].startswith("context 1  MainThread  ")
    assert "├── set locale = 'en'  " in output
    assert "│   └── context 4  Task-4  " in output
    assert "└── missing user  " in output
    assert output.endswith("11 events in 5 contexts\n")


def test_repeated_events_are_one_line_and_long_lists_are_cut() -> None:
    rows = Rows(first=7)
    rows.context(1)
    for _ in range(3):
        rows.event("set", user, 1)
    for number in range(1000):
        rows.event("set", tenant, 1, text=str(number))
    output = printed(rows)
    assert "set user  3 times  " in output
    assert "951 events are left out" in output
    assert "set tenant = 999  " in output
    assert "1,003 events in 1 contexts; 7 older events are lost" in output


@pytest.mark.parametrize("text", ["'\x1b[31m'", "'[bold]'", "'\u202e'"])
def test_texts_are_harmless(text: str) -> None:
    rows = Rows()
    rows.context(1, thread_name=text, task="[red]")
    rows.event("set", user, 1, text=text)
    output = printed(rows)
    assert "\x1b" not in output
    assert "\u202e" not in output
    assert "[red]" in output
