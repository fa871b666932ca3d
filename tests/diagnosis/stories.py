"""Recordings that are written by hand, as the recorder would have made them."""

from __future__ import annotations

from ctxvars._recording.events import ContextBranch, Event, Place, Recording, recording_of
from ctxvars._recording.timeline import Timeline

POOL = Place("/usr/lib/python3.13/concurrent/futures/thread.py", 93, "_worker")
THREAD = Place("/usr/lib/python3.13/threading.py", 1041, "Thread._bootstrap_inner")
LOOP = Place("/usr/lib/python3.13/asyncio/events.py", 89, "Handle._run")
ANYIO = Place("/site-packages/anyio/_backends/_asyncio.py", 994, "WorkerThread.run")
STARLETTE = "/site-packages/starlette"
MIDDLEWARE = Place(f"{STARLETTE}/middleware/base.py", 191, "BaseHTTPMiddleware.__call__")
INNER_APP = Place(
    f"{STARLETTE}/middleware/base.py",
    150,
    "BaseHTTPMiddleware.__call__.<locals>.call_next.<locals>.coro",
)
BACKGROUND = Place(f"{STARLETTE}/background.py", 26, "BackgroundTask.__call__")


class StoryContext:
    """A context of a story. Its methods are events."""

    def __init__(
        self,
        story: Story,
        parent: StoryContext | None,
        thread: str,
        task: str | None,
        under: tuple[Place, ...],
    ) -> None:
        self.story = story
        self.parent = parent
        self.version = self.parent_version = parent.version if parent else 0
        self.thread = thread
        self.task = task
        self.under = under
        self.number: int | None = None

    def place(self, line: int) -> Place:
        return Place("/app/main.py", line, "main")

    def event(self, kind: str, version: int | None = None, name: str = "user") -> Event:
        story = self.story
        if self.number is None:
            self.number = len(story.branches)
            maker = story.makers.get(self.parent_version)
            story.branches.append(
                ContextBranch(
                    self.number,
                    maker,
                    self.parent_version,
                    len(story.events),
                    hash(self.thread),
                    self.thread,
                    self.task,
                    (self.place(1), *self.under),
                )
            )
        if version is None:
            story.last += 1
            version = story.last
            story.makers[version] = self.number
        number = len(story.events)
        event = Event(
            number,
            kind,
            name,
            None,
            0 if name == "user" else 1,
            version,
            self.version,
            self.number,
            hash(self.thread),
            number,
            self.place(number),
        )
        story.events.append(event)
        self.version = version
        return event

    def set(self, name: str = "user") -> Event:
        return self.event("set", name=name)

    def reset(self) -> Event:
        return self.event("reset")

    def delete(self) -> Event:
        return self.event("delete")

    def enter(self) -> int:
        before = self.version
        self.event("scope_enter")
        return before

    def exit(self, before: int) -> Event:
        """Leave a scope. All empty contexts have the version 0."""
        return self.event("scope_exit", None if before else 0)

    def missing(self) -> Event:
        return self.event("missing", self.version)


class Story:
    """Events of several contexts, in one order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.branches: list[ContextBranch] = []
        self.makers: dict[int, int] = {}
        self.last = 0
        self.lost = 0

    def context(
        self,
        parent: StoryContext | None = None,
        *under: Place,
        thread: str = "MainThread",
        task: str | None = None,
    ) -> StoryContext:
        """Copy a context, or make an empty one: a native copy is not an event."""
        return StoryContext(self, parent, thread, task, under)

    def recording(self) -> Recording:
        return recording_of(list(self.events), list(self.branches), lost=self.lost)

    def timeline(self) -> Timeline:
        recording = self.recording()
        return Timeline(lambda: recording)
