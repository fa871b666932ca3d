"""`ContextTree`: the contexts of a recording, each below the one that it was copied from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ctxvars._public import public
from ctxvars._recording.events import ContextBranch, Event

MOST_NAMES = 6
"""The changes of a context that the text of a tree lists."""


@public
class ContextNode:
    """A context in a `ContextTree`.

    Attributes:
        branch: the context.
        events: its events, oldest first.
        children: the contexts that were copied from it.
    """

    __slots__ = ("branch", "children", "events")

    def __init__(self, branch: ContextBranch) -> None:
        self.branch = branch
        self.events: list[Event] = []
        self.children: list[ContextNode] = []

    def walk(self) -> Iterator[tuple[int, ContextNode]]:
        """Yield this context and those below it, each with its depth, parents first."""
        waiting = [(0, self)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting += [(depth + 1, child) for child in reversed(node.children)]

    def __str__(self) -> str:
        return str(self.branch) + (f": {changes}" if (changes := self.changes()) else "")

    def changes(self) -> str:
        """Return the changes of the variables in a few words.

        Equal changes are counted, and changes after the first six different ones are left out.
        """
        counts = Counter(
            f"{event.kind.replace('_', ' ')} {event.name}" if event.name else ""
            for event in self.events
        )
        del counts[""]
        words = [
            text if count == 1 else f"{text} {count} times"
            for text, count in list(counts.items())[:MOST_NAMES]
        ]
        return ", ".join(words) + (", ..." if len(counts) > MOST_NAMES else "")

    def __repr__(self) -> str:
        return f"<ctxvars.ContextNode {self.branch.number}, children: {len(self.children)}>"


@public
class ContextTree:
    """The contexts of a recording, each below the one that it was copied from.

    Iterating yields the roots, the contexts whose parent is not known. The length is the number of
    all contexts, and `tree[number]` is one of them. The text shows the tree.

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> def handle():
    ...     token = user.set("Grace")
    >>> with ctxvars.record() as timeline:
    ...     token = user.set("Ada")
    ...     ctxvars.copy_context().run(handle)
    >>> tree = timeline.contexts()
    >>> len(tree), [len(root.children) for root in tree]
    (2, [1])
    """

    __slots__ = ("_nodes", "roots")

    def __init__(self, branches: Sequence[ContextBranch], events: Sequence[Event]) -> None:
        self._nodes = {branch.number: ContextNode(branch) for branch in branches}
        self.roots: list[ContextNode] = []
        for node in self._nodes.values():
            parent = node.branch.parent
            # A file may say anything; a context is older than its copies.
            if parent is not None and parent in self._nodes and parent < node.branch.number:
                self._nodes[parent].children.append(node)
            else:
                self.roots.append(node)
        for event in events:
            self._nodes[event.context].events.append(event)

    def walk(self) -> Iterator[tuple[int, ContextNode]]:
        """Yield each context with its depth, parents first: O(contexts)."""
        for root in self.roots:
            yield from root.walk()

    def __iter__(self) -> Iterator[ContextNode]:
        return iter(self.roots)

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, number: int) -> ContextNode:
        return self._nodes[number]

    def __str__(self) -> str:
        return "\n".join("  " * depth + str(node) for depth, node in self.walk())

    def __repr__(self) -> str:
        return f"<ctxvars.ContextTree contexts: {len(self)}>"
