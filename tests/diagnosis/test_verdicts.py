"""A timeline says which boundary has lost a value: `explain`, on recordings written by hand."""

from __future__ import annotations

import pytest

from ctxvars._diagnosis.explain import Explainer
from ctxvars._diagnosis.explanation import Explanation
from tests.diagnosis.stories import (
    ANYIO,
    BACKGROUND,
    INNER_APP,
    LOOP,
    MIDDLEWARE,
    POOL,
    THREAD,
    Story,
    StoryContext,
)


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    """A recording of a program whose threads start with an empty context, as before Python 3.14."""
    monkeypatch.setattr("ctxvars._diagnosis.boundaries.threads_inherit", lambda: False)
    return Story()


def explained(context: StoryContext) -> Explanation:
    event = context.missing()
    return Explainer(context.story.recording()).explain(event)


def lost(context: StoryContext) -> tuple[str | None, int | None]:
    """Return the boundary, and the line at which the value was set."""
    explanation = explained(context)
    place = explanation.origin.place if explanation.origin else None
    return explanation.boundary, place and place.line


class TestRemoved:
    def test_a_value_that_was_reset(self, story: Story) -> None:
        main = story.context()
        main.set()
        main.reset()
        explanation = explained(main)
        assert explanation.boundary == "after_block"
        assert explanation.removed is not None
        assert explanation.removed.line == 1

    def test_a_value_that_was_deleted(self, story: Story) -> None:
        main = story.context()
        main.set()
        main.delete()
        assert lost(main) == ("after_block", 0)

    def test_a_scope_that_was_left(self, story: Story) -> None:
        main = story.context()
        before = main.enter()
        main.exit(before)
        assert lost(main) == ("after_block", 0)

    def test_the_inner_value_is_removed_before_the_outer_one(self, story: Story) -> None:
        main = story.context()
        main.set()
        main.set()
        main.reset()
        last = main.reset()
        explanation = explained(main)
        assert explanation.removed == main.place(2)
        assert last.number == 3

    def test_a_value_that_was_removed_before_the_copy_was_made(self, story: Story) -> None:
        main = story.context()
        main.set("locale")
        main.set()
        main.reset()
        task = story.context(main, LOOP, task="Task-2")
        assert lost(task) == ("after_block", 1)

    def test_a_background_task_runs_after_the_block(self, story: Story) -> None:
        request = story.context(None, BACKGROUND, LOOP, task="Task-2")
        before = request.enter()
        request.exit(before)
        assert lost(request) == ("background", 0)

    def test_a_value_that_was_removed_long_ago_is_not_the_one_that_is_missed(
        self, story: Story
    ) -> None:
        main = story.context()
        main.set("locale")
        main.set()
        main.reset()
        request = story.context(main, LOOP, task="Task-2")
        story.context(request, ANYIO, THREAD, thread="AnyIO worker thread").set()
        assert lost(request) == ("sync_call", 3)


class TestSetAfterTheCopy:
    def test_a_task_that_was_created_before(self, story: Story) -> None:
        main = story.context()
        main.set("locale")
        task = story.context(main, LOOP, task="Task-2")
        main.set()
        explanation = explained(task)
        assert explanation.boundary == "task"
        assert explanation.remedy is not None
        assert "before the task is created" in explanation.remedy

    def test_a_callback_that_was_registered_before(self, story: Story) -> None:
        task = story.context(None, LOOP, task="Task-1")
        task.set("locale")
        callback = story.context(task, LOOP)
        task.set()
        assert lost(callback) == ("callback", 1)

    def test_a_callback_that_was_registered_before_anything_was_set(self, story: Story) -> None:
        task = story.context(None, LOOP, task="Task-1")
        callback = story.context(task, LOOP)
        task.set()
        assert lost(callback) == ("callback", 0)

    def test_a_thread_that_runs_in_a_copy(self, story: Story) -> None:
        main = story.context()
        main.set("locale")
        thread = story.context(main, THREAD, thread="Thread-1")
        main.set()
        assert lost(thread) == ("copied_thread", 1)

    def test_a_copy_that_was_made_by_the_program(self, story: Story) -> None:
        main = story.context()
        main.set("locale")
        copy = story.context(main)
        main.set()
        assert lost(copy) == ("copy", 1)

    def test_a_copy_that_a_task_has_made(self, story: Story) -> None:
        task = story.context(None, LOOP, task="Task-1")
        task.set("locale")
        copy = story.context(task, LOOP, task="Task-1")
        task.set()
        assert lost(copy) == ("copy", 1)

    def test_another_context_that_a_task_has_made(self, story: Story) -> None:
        task = story.context(None, LOOP, task="Task-1")
        task.set()
        assert lost(story.context(None, LOOP, task="Task-1")) == ("other_context", 0)

    def test_a_value_that_was_set_and_removed_after_the_copy_was_made(self, story: Story) -> None:
        main = story.context()
        main.set("locale")
        task = story.context(main, LOOP, task="Task-2")
        main.set()
        main.reset()
        assert lost(task) == ("task", 1)


class TestSetInACopy:
    def test_a_task(self, story: Story) -> None:
        main = story.context()
        main.set("locale")
        story.context(main, LOOP, task="Task-2").set()
        explanation = explained(main)
        assert explanation.boundary == "task"
        assert explanation.remedy is not None
        assert "merge_back" in explanation.remedy

    def test_a_task_of_a_task_that_had_no_values(self, story: Story) -> None:
        main = story.context(None, LOOP, task="Task-1")
        story.context(main, LOOP, task="Task-2").set()
        explanation = explained(main)
        assert explanation.boundary == "task"
        assert "stay in this copy" in str(explanation.reason)

    def test_a_sync_dependency(self, story: Story) -> None:
        request = story.context(None, LOOP, task="Task-2")
        story.context(request, ANYIO, THREAD, thread="AnyIO worker thread").set()
        assert lost(request) == ("sync_call", 0)

    def test_an_endpoint_below_a_middleware(self, story: Story) -> None:
        request = story.context(None, MIDDLEWARE, LOOP, task="Task-2")
        story.context(request, INNER_APP, LOOP, task="starlette").set()
        assert lost(request) == ("base_http_middleware", 0)

    def test_an_empty_thread_below_a_middleware_is_the_cause(self, story: Story) -> None:
        story.context(None, INNER_APP, LOOP, task="starlette").set()
        thread = story.context(None, THREAD, thread="Thread-1")
        assert lost(thread) == ("thread", 0)

    def test_a_task_below_a_middleware_is_the_cause(self, story: Story) -> None:
        inner = story.context(None, INNER_APP, LOOP, task="starlette")
        inner.set("locale")
        task = story.context(inner, LOOP, task="Task-9")
        inner.set()
        assert lost(task) == ("task", 1)

    def test_a_copy_that_was_made_by_the_program(self, story: Story) -> None:
        main = story.context()
        main.set("locale")
        story.context(main).set()
        assert lost(main) == ("copy", 1)


class TestSetElsewhere:
    def test_a_thread_without_its_context(self, story: Story) -> None:
        story.context().set()
        thread = story.context(None, THREAD, thread="Thread-1")
        explanation = explained(thread)
        assert explanation.boundary == "thread"
        assert "ContextThread" in str(explanation.remedy)
        assert "#a-thread" in str(explanation.guide)

    def test_a_pool(self, story: Story) -> None:
        story.context(None, LOOP, task="Task-1").set()
        worker = story.context(None, POOL, THREAD, thread="ThreadPoolExecutor-0_0")
        assert lost(worker) == ("pool", 0)

    def test_an_earlier_call_of_the_worker_is_not_the_cause(self, story: Story) -> None:
        story.context(None, LOOP, task="Task-1").set()
        worker = story.context(None, POOL, THREAD, thread="ThreadPoolExecutor-0_0")
        worker.set()
        worker.reset()
        assert lost(worker) == ("pool", 0)

    def test_a_thread_that_has_reset_the_value_itself(self, story: Story) -> None:
        story.context().set()
        thread = story.context(None, THREAD, thread="Thread-1")
        thread.set()
        thread.reset()
        assert lost(thread) == ("after_block", 1)

    def test_a_thread_that_has_set_the_value_in_a_copy(self, story: Story) -> None:
        thread = story.context(None, THREAD, thread="Thread-1")
        thread.set("locale")
        story.context(thread, THREAD, thread="Thread-1").set()
        assert lost(thread) == ("copy", 1)

    def test_a_value_that_was_set_by_a_thread(self, story: Story) -> None:
        main = story.context()
        story.context(None, THREAD, thread="Thread-1").set()
        explanation = explained(main)
        assert explanation.boundary == "thread"
        assert "stay in the context of the thread" in str(explanation.reason)

    def test_a_task_of_a_main_thread_that_had_no_values(self, story: Story) -> None:
        main = story.context()
        task = story.context(main, LOOP, task="Task-2")
        main.set()
        assert lost(task) == ("task", 0)

    def test_contexts_that_are_not_copies(self, story: Story) -> None:
        story.context().set()
        assert lost(story.context()) == ("other_context", 0)


def test_a_thread_that_inherits_its_context(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctxvars._diagnosis.boundaries.threads_inherit", lambda: True)
    story.context().set()
    assert lost(story.context(None, THREAD, thread="Thread-1")) == ("copied_thread", 0)


@pytest.mark.parametrize(
    ("name", "boundary"),
    [
        ("ThreadPoolExecutor-3_0", "pool"),
        ("asyncio_0", "pool"),
        ("AnyIO worker thread", "sync_call"),
        ("Thread-7 (work)", "thread"),
        ("listener", "thread"),
        ("Dummy-2", "foreign_thread"),
    ],
)
def test_the_name_of_a_thread_stands_for_a_stack_that_is_lost(
    story: Story, name: str, boundary: str
) -> None:
    story.context().set()
    assert lost(story.context(None, thread=name)) == (boundary, 0)


class TestNeverSet:
    def test_a_variable_that_was_not_set(self, story: Story) -> None:
        explanation = explained(story.context())
        assert explanation.boundary is None
        assert explanation.origin is None
        assert "not set while the recording was on" in str(explanation.reason)

    def test_events_that_were_dropped(self, story: Story) -> None:
        story.lost = 70
        assert "first 70 events were dropped" in str(explained(story.context()))

    def test_a_value_that_is_set_later_does_not_count(self, story: Story) -> None:
        main = story.context()
        event = main.missing()
        main.set()
        assert Explainer(story.recording()).explain(event).origin is None

    def test_another_variable_does_not_count(self, story: Story) -> None:
        main = story.context()
        main.set("locale")
        assert lost(main) == (None, None)

    def test_a_pool_may_be_the_cause(self, story: Story) -> None:
        worker = story.context(None, POOL, THREAD, thread="ThreadPoolExecutor-0_0")
        assert lost(worker) == ("pool", None)


def test_only_missing_values_are_explained(story: Story) -> None:
    event = story.context().set()
    with pytest.raises(ValueError, match=r"^explain\(\) takes an event of the kind 'missing', got"):
        Explainer(story.recording()).explain(event)


def test_the_text_is_readable(story: Story) -> None:
    request = story.context(None, LOOP, task="Task-2")
    story.context(request, ANYIO, THREAD, thread="AnyIO worker thread").set()
    assert str(explained(request)).splitlines() == [
        "user has no value here",
        "  here:     /app/main.py:1 in main",
        "  set:      /app/main.py:0 in main, thread 'AnyIO worker thread'",
        "  lost by:  sync code that a framework runs in a worker thread",
        "  reason:   FastAPI, Starlette and anyio run sync code in a worker thread, in a copy of"
        " the context. The copy is thrown away when the call returns, with the values that it has"
        " set.",
        "  instead:  decorate the sync dependency with ctxvars.merge_back, or make it async",
        "  guide:    https://OWNER.github.io/ctxvars/how-to/missing-variables.html"
        "#sync-code-of-a-framework",
    ]
