"""The event that made a value is found over the versions of contexts."""

from __future__ import annotations

from ctxvars._diagnosis.lineage import Changes, Lineage, Position, marks_of
from tests.diagnosis.stories import Story, StoryContext


def origin(context: StoryContext, name: str = "user") -> int | None:
    """Return the line of the event that made the value of a context."""
    recording = context.story.recording()
    lineage = Lineage.of_recording(
        recording, 0 if name == "user" else 1, Changes.of_marks(marks_of(recording.events))
    )
    event = lineage.origin(Position(context.version, context.number))
    return event and event.number


def test_the_last_set() -> None:
    main = Story().context()
    main.set()
    main.set()
    main.set("locale")
    assert origin(main) == 1
    assert origin(main, "locale") == 2


def test_the_set_of_the_context_that_was_copied() -> None:
    story = Story()
    main = story.context()
    main.set()
    copy = story.context(main)
    main.set()
    assert (origin(copy), origin(main)) == (0, 1)


def test_the_value_before_a_set_that_was_reset() -> None:
    main = Story().context()
    main.set()
    main.set()
    main.reset()
    assert origin(main) == 0


def test_the_value_before_nested_scopes() -> None:
    main = Story().context()
    main.set()
    outer = main.enter()
    inner = main.enter()
    main.exit(inner)
    assert origin(main) == 1
    main.exit(outer)
    assert origin(main) == 0


def test_the_value_before_a_scope_in_which_another_variable_was_set() -> None:
    main = Story().context()
    main.set()
    before = main.enter()
    main.set("locale")
    main.exit(before)
    assert origin(main) == 0


def test_the_value_before_a_delete_that_was_reset() -> None:
    main = Story().context()
    main.set()
    main.delete()
    main.reset()
    assert origin(main) == 0


def test_the_value_before_a_reset_that_restored_a_version() -> None:
    main = Story().context()
    main.set()
    main.set()
    main.event("reset", 1)
    main.event("delete", 0)
    main.event("reset", 1)
    assert origin(main) == 0


def test_the_value_before_a_delete_that_emptied_the_context() -> None:
    main = Story().context()
    main.set()
    main.event("delete", 0)
    main.reset()
    assert origin(main) == 0


def test_an_empty_copy_has_a_chain_that_ends() -> None:
    story = Story()
    main = story.context()
    main.set()
    main.event("delete", 0)
    copy = story.context(main)
    copy.set("locale")
    assert origin(copy) is None


def test_a_value_from_before_the_recording_is_not_found() -> None:
    main = Story().context()
    main.version = 7
    main.set("locale")
    assert origin(main) is None


def test_parents_in_a_circle_end() -> None:
    story = Story()
    main = story.context()
    main.set("locale")
    main.event("scope_exit", 0, "locale")
    main.event("scope_exit", 1, "locale")
    assert origin(main) is None
