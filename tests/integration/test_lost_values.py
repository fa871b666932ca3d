"""An application loses a value in eight ways, and does not with the remedy that `why` names."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

import ctxvars
from tests.integration.lost_values import WAYS, app_for, request, user

pytestmark = pytest.mark.filterwarnings(
    # Other tests leave threads behind, which a fork does not copy.
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

LOOKED: Any = multiprocessing.get_context("fork").SimpleQueue()


class Seen(NamedTuple):
    """The value where it may be missing, and what is said about it."""

    value: str | None
    explanation: ctxvars.Explanation
    notes: list[str]


def look() -> None:
    notes: list[str] = []
    try:
        value = user.get()
    except LookupError as error:
        value, notes = None, getattr(error, "__notes__", [])
    LOOKED.put(Seen(value, ctxvars.why(user), notes))


def seen(way: str, *, remedied: bool = False, recorded: bool = True) -> Seen:
    app = app_for(way, look, remedied=remedied)
    if recorded:
        with ctxvars.record():
            request(app)
    else:
        request(app)
    found: Seen = LOOKED.get()
    return found


def losing(ways: Iterable[str]) -> list[Any]:
    """Return the ways as parameters; threads that inherit their context do not lose values."""
    inherits = bool(getattr(sys.flags, "thread_inherit_context", False))
    skip = pytest.mark.skipif(inherits, reason="threads inherit the value")
    return [pytest.param(way, marks=skip if way in ("thread", "executor") else ()) for way in ways]


REMEDIES = {
    "thread": ("thread", "ctxvars.ContextThread"),
    "executor": ("pool", "ctxvars.run_in_executor(loop, None, function)"),
    "sync_dependency": ("sync_call", "decorate the sync dependency with ctxvars.merge_back"),
    "base_http_middleware": ("base_http_middleware", "write a pure ASGI middleware"),
    "background_task": ("background", "add ctxvars.bind(function) as the background task"),
    "callback_set_before": ("callback", "register the callback after the variable is set"),
    "generator_closed_by_the_loop": (
        "closed_generator",
        "decorate the generator function with ctxvars.isolated",
    ),
    "process": ("process_pool", "use ctxvars.ContextProcessPoolExecutor"),
}
"""The boundary that loses the value, and the remedy that the application uses."""


@pytest.mark.parametrize("way", losing(WAYS))
def test_why_names_the_boundary_and_the_remedy(way: str) -> None:
    boundary, remedy = REMEDIES[way]
    value, explanation, notes = seen(way)
    assert value is None
    assert not explanation.is_set
    assert explanation.boundary == boundary
    assert remedy in str(explanation.remedy)
    assert f"instead:  {explanation.remedy}" in str(explanation)
    # The note of the LookupError says so, too.
    assert [note.splitlines()[2:] for note in notes] == [str(explanation).splitlines()[2:]]


@pytest.mark.parametrize("way", losing(sorted(WAYS.keys() - {"process"})))
def test_why_names_the_line_that_has_set_the_value(way: str) -> None:
    origin = seen(way).explanation.origin
    assert origin is not None
    assert origin.place is not None
    assert origin.place.file.endswith("lost_values.py")
    assert origin.place.function.startswith(f"{way}.<locals>.")


@pytest.mark.parametrize("way", WAYS)
def test_the_remedy_works(way: str) -> None:
    value, explanation, notes = seen(way, remedied=True)
    assert (value, notes) == ("Ada", [])
    assert explanation.is_set
    assert explanation.boundary is None


@pytest.mark.parametrize(
    "way",
    losing(["thread", "executor", "background_task", "callback_set_before", "process"]),
)
def test_without_a_recording_why_names_the_boundary_of_the_stack(way: str) -> None:
    value, explanation, notes = seen(way, recorded=False)
    assert (value, notes, explanation.origin) == (None, [], None)
    assert explanation.boundary == REMEDIES[way][0]
