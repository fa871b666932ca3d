"""`spans_of`: each value has a span, from its set to its end."""

from __future__ import annotations

from ctxvars._recording.spans import Span, makers, spans_of
from tests.support.recording.rows import STEP, Rows, locale, tenant, user


def short(spans: list[Span]) -> list[tuple[str | None, int, float, float, bool]]:
    """The variables, contexts, starts and ends in milliseconds, and whether the end is known."""
    return [
        (
            *(span.set_by.name, span.set_by.context),
            *(span.start / STEP, span.end / STEP, span.ended_by is not None),
        )
        for span in spans
    ]


def one_context() -> Rows:
    rows = Rows()
    rows.context(1)
    return rows


def test_a_value_ends_with_its_reset() -> None:
    rows = one_context()
    rows.event("set", user, 1)
    rows.event("set", tenant, 1)
    rows.event("reset", user, 1)
    rows.event("scope_enter", locale, 1)
    rows.event("scope_exit", locale, 1)
    assert short(spans_of(rows.recording())) == [
        ("user", 1, 0, 2, True),
        ("tenant", 1, 1, 4, False),
        ("locale", 1, 3, 4, True),
    ]


def test_a_value_ends_with_the_next_set_and_comes_back_by_its_reset() -> None:
    rows = one_context()
    first = rows.event("set", user, 1)
    rows.event("set", user, 1)
    reset = rows.event("reset", user, 1)
    rows.event("reset", user, 1)
    spans = spans_of(rows.recording())
    assert short(spans) == [
        ("user", 1, 0, 1, True),
        ("user", 1, 1, 2, True),
        ("user", 1, 2, 3, True),
    ]
    assert (spans[2].set_by.number, spans[2].began_by.number) == (first, reset)


def test_a_delete_ends_a_value_and_its_reset_brings_it_back() -> None:
    rows = one_context()
    rows.event("set", user, 1)
    rows.event("delete", user, 1)
    rows.event("reset", user, 1)
    rows.event("reset", user, 1)
    assert short(spans_of(rows.recording())) == [("user", 1, 0, 1, True), ("user", 1, 2, 3, True)]


def test_a_reset_leads_to_the_value_with_its_text() -> None:
    rows = one_context()
    rows.event("set", user, 1, text="1")
    rows.event("set", user, 1, text="2")
    rows.event("set", user, 1, text="3")
    rows.event("reset", user, 1, text="1")
    assert spans_of(rows.recording())[-1].set_by.text == "1"


def test_a_reset_of_an_inherited_value_has_no_span() -> None:
    rows = one_context()
    rows.event("reset", user, 1)
    rows.event("reset", user, 1)
    rows.event("missing", user, 1)
    assert spans_of(rows.recording()) == []


def test_a_value_without_an_end_lasts_until_the_last_sign_of_its_context() -> None:
    rows = one_context()
    rows.event("set", user, 1)
    rows.context(2, 1)
    rows.event("set", tenant, 2)
    rows.event("set", locale, 1)
    rows.context(3, 1)
    rows.event("set", tenant, 3)
    ends = [end for _, _, _, end, _ in short(spans_of(rows.recording()))]
    # Context 2 ends with its only event; context 1 with the first event of its copy.
    assert ends == [3, 1, 3, 3]


def test_a_value_ends_when_its_context_is_freed() -> None:
    rows = one_context()
    rows.event("set", user, 1)
    rows.event("drop", None, 1)
    assert short(spans_of(rows.recording())) == [("user", 1, 0, 1, False)]


def test_contexts_and_variables_are_apart() -> None:
    rows = one_context()
    rows.event("set", user, 1)
    rows.context(2, 1)
    rows.event("set", user, 2)
    rows.event("reset", user, 1)
    assert short(spans_of(rows.recording())) == [("user", 1, 0, 2, True), ("user", 2, 1, 1, False)]


def test_the_maker_of_a_version_is_its_last_event() -> None:
    rows = one_context()
    first = rows.event("set", user, 1)
    rows.event("missing", tenant, 1)
    assert [event.number for event in makers(rows.recording()).values()] == [first]
