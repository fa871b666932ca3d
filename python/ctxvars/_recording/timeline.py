"""`Timeline`: a recording, and the questions that it answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ctxvars._core import ContextVar
from ctxvars._public import public
from ctxvars._recording.events import ContextBranch, Event, Recording
from ctxvars._recording.files import read_file, to_json
from ctxvars._recording.tree import ContextTree


@public
class Timeline:
    """Events of context variables. `record` yields one, and `load` reads one from a file.

    While the recording is on, each method sees the events until now. After it, the timeline does
    not change. It keeps the variables alive, but not their values.

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> with ctxvars.record(values=True) as timeline:
    ...     token = user.set("Ada")
    ...     user.reset(token)
    >>> [(event.kind, event.name, event.text) for event in timeline.events()]
    [('set', 'user', "'Ada'"), ('reset', 'user', None)]
    """

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], Recording], /) -> None:
        # Not public: `record` and `load` make timelines.
        self._read = read

    @classmethod
    def load(cls, path: str | os.PathLike[str], /) -> Timeline:
        """Read a file that `save` has written.

        The events of the timeline have names of variables, not variables.

        Args:
            path: a JSON file.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not a JSON file of a timeline, or is damaged.

        O(size of the file).

        >>> import ctxvars, os, tempfile
        >>> with ctxvars.record() as timeline:
        ...     token = ctxvars.ContextVar("user").set("Ada")
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     timeline.save(os.path.join(directory, "run.json"))
        ...     loaded = ctxvars.Timeline.load(os.path.join(directory, "run.json"))
        >>> loaded.events() == timeline.events()
        True
        """
        recording = read_file(Path(path))
        return cls(lambda: recording)

    def events(self) -> tuple[Event, ...]:
        """Return the events, oldest first.

        O(1), but O(events) when it is first called, and while the recording is on.

        >>> import ctxvars
        >>> with ctxvars.record() as timeline:
        ...     token = ctxvars.ContextVar("user").set("Ada")
        ...     len(timeline.events())
        1
        """
        return self._read().events

    def history(self, variable: ContextVar[Any] | str, /) -> tuple[Event, ...]:
        """Return the events of one variable, oldest first.

        Args:
            variable: the variable, or its name for all variables of this name. In a timeline that
                was loaded from a file, a variable stands for its name.

        Raises:
            TypeError: `variable` is neither a `ContextVar` nor a string.

        O(events).

        >>> import ctxvars
        >>> user, locale = ctxvars.ContextVar("user"), ctxvars.ContextVar("locale")
        >>> with ctxvars.record() as timeline:
        ...     tokens = user.set("Ada"), locale.set("en")
        >>> [event.kind for event in timeline.history(user)]
        ['set']
        """
        if isinstance(variable, str):
            return tuple(event for event in self.events() if event.name == variable)
        if not isinstance(variable, ContextVar):
            raise TypeError(
                f"history() argument must be a ContextVar or a string, got {variable!r}"
            )
        return tuple(
            event
            for event in self.events()
            if event.variable is variable
            or (event.variable is None and event.name == variable.name)
        )

    def contexts(self) -> ContextTree:
        """Return the contexts as a tree, each below the one that it was copied from.

        O(events). `print(timeline.contexts())` shows it.

        >>> import ctxvars
        >>> user = ctxvars.ContextVar("user")
        >>> with ctxvars.record() as timeline:
        ...     token = user.set("Ada")
        ...     ctxvars.copy_context().run(user.set, "Grace")  # doctest: +ELLIPSIS
        <Token ...>
        >>> [(depth, node.changes()) for depth, node in timeline.contexts().walk()]
        [(0, 'set user'), (1, 'set user')]
        """
        recording = self._read()
        return ContextTree(recording.branches, recording.events)

    @property
    def lost(self) -> int:
        """The number of events for which there was no room: the oldest ones are dropped.

        `record(capacity=...)` sets the room.
        """
        return self._read().lost

    def branch(self, context: int, /) -> ContextBranch:
        """Return the context with a number, as events have it.

        Raises:
            LookupError: no context of the recording has this number.

        O(contexts).

        >>> import ctxvars
        >>> with ctxvars.record() as timeline:
        ...     token = ctxvars.ContextVar("user").set("Ada")
        >>> timeline.branch(timeline.events()[0].context).thread_name
        'MainThread'
        """
        for branch in self._read().branches:
            if branch.number == context:
                return branch
        raise LookupError(f"the timeline has no context {context!r}")

    def save(self, path: str | os.PathLike[str], /) -> None:
        """Write the timeline to a file. An existing file is overwritten.

        Args:
            path: a file whose name ends in ".html", for a page to look at; or in ".json", which
                `load` reads, and Perfetto and other viewers of the trace-event format show; or
                "-", to print the tree of contexts.

        Raises:
            OSError: the file cannot be written.
            ValueError: the name has another ending.
            ImportError: `path` is "-", and rich is not installed.

        O(events x log events).

        >>> import ctxvars
        >>> with ctxvars.record() as timeline:
        ...     token = ctxvars.ContextVar("user").set("Ada")
        >>> timeline.save("run.txt")
        Traceback (most recent call last):
          ...
        ValueError: the name of the file must end in .html or .json, got 'run.txt'
        """
        file = Path(path)
        if os.fspath(path) == "-":
            from ctxvars._recording.terminal import show

            show(self)
        elif file.suffix == ".html":
            from ctxvars._pages.timeline import timeline_page

            file.write_text(timeline_page(self._read()), encoding="ascii")
        elif file.suffix == ".json":
            file.write_text(to_json(self._read()), encoding="ascii")
        else:
            raise ValueError(
                f"the name of the file must end in .html or .json, got {os.fspath(path)!r}"
            )

    def __len__(self) -> int:
        return len(self.events())

    def __repr__(self) -> str:
        recording = self._read()
        lost = f", lost: {recording.lost}" if recording.lost else ""
        counts = f"events: {len(recording.events)}, contexts: {len(recording.branches)}"
        return f"<ctxvars.Timeline {counts}{lost}>"
