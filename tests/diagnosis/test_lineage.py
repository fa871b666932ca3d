"""The event that made a value is found over the versions of contexts."""

from __future__ import annotations

from ctxvars._diagnosis.lineage import Lineage, changes_of
from tests.diagnosis.stories import Story, StoryContext


def origin(context: StoryContext, name: str = "user") -> int | None:
    """Return the line of the event that made the value of a context."""
    recording = context.story.recording()
    changes = changes_of((it.version, it.parent, it.context) for it in recording.events)
    number = 0 if name == "user" else 1
    event = Lineage.of_recording(recording, number, changes).origin(context.version)
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


def test_the_value_before_a_scope_that_was_left_by_a_new_version() -> None:
    main = Story().context()
    main.set()
    main.enter()
    main.set("locale")
    main.exit()
    assert origin(main) == 0


def test_the_value_before_a_delete_that_was_reset() -> None:
    main = Story().context()
    main.set()
    main.delete()
    main.reset()
    assert origin(main) == 0


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
