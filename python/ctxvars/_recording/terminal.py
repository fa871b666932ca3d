"""`show`: the contexts of a recording and what was set in them, as a tree in the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from ctxvars._pages.escape import shortened
from ctxvars._recording.events import Event, Place

if TYPE_CHECKING:
    from ctxvars._recording.timeline import Timeline
    from ctxvars._recording.tree import ContextNode

MOST_ROWS = 50
"""The events of a context that are shown: the first half and the last half of this number."""
DEEPEST = 12
"""The depth below which contexts are counted, not shown: their lines would be too short."""
LONGEST = 200
"""The characters of a name or value."""

STYLES = {"missing": "bold red", "reset": "dim", "scope_exit": "dim", "delete": "dim"}


def show(timeline: Timeline, console: Console | None = None) -> None:
    """Print the tree: O(events)."""
    console = console or Console()
    contexts = timeline.contexts()
    counts = f"{len(timeline.events()):,} events in {len(contexts):,} contexts"
    lost = f"; {timeline.lost:,} older events are lost" if timeline.lost else ""
    # rich would exit if the pipe to `head` is closed.
    with console.capture() as captured:
        for root in contexts:
            console.print(tree_of(root))
        console.print(Text(counts + lost, style="dim"))
    console.file.write(captured.get())
    console.file.flush()


def tree_of(root: ContextNode) -> Tree:
    trees: list[Tree] = []
    hidden = 0
    for depth, node in root.walk():
        if depth > DEEPEST:
            hidden += 1
            continue
        tree = Tree(title(node), guide_style="dim")
        del trees[depth:]
        for row in rows(node):
            tree.add(row)
        if trees:
            trees[-1].children.append(tree)
        trees.append(tree)
    if hidden:
        trees[0].add(Text(f"{hidden:,} contexts below depth {DEEPEST} are left out", style="dim"))
    return trees[0]


def title(node: ContextNode) -> Text:
    branch = node.branch
    text = Text(f"context {branch.number}", style="bold")
    text.append(f"  {shortened(branch.label, LONGEST)}", style="cyan")
    if branch.stack:
        text.append(f"  {words(branch.stack[0])}", style="dim")
    return text


def rows(node: ContextNode) -> Iterator[Text]:
    """Yield a line for each event; equal events that follow one another are one line."""
    groups = [
        (next(group), 1 + sum(1 for _ in group))
        for _, group in groupby(
            (event for event in node.events if event.name is not None),
            key=lambda event: (event.kind, event.variable_number, event.place, event.text),
        )
    ]
    half = MOST_ROWS // 2
    hidden = groups[half:-half] if len(groups) > MOST_ROWS else []
    for index, (event, count) in enumerate(groups):
        if not hidden or index < half or index >= len(groups) - half:
            yield row(event, count)
        elif index == half:
            number = sum(count for _, count in hidden)
            yield Text(f"{number:,} events are left out", style="dim")


def row(event: Event, count: int) -> Text:
    text = Text(event.kind.replace("_", " "), style=STYLES.get(event.kind, "green"))
    text.append(f" {shortened(event.name or '', LONGEST)}", style="bold")
    if event.text is not None:
        text.append(f" = {shortened(event.text, LONGEST)}", style="default")
    if count > 1:
        text.append(f"  {count:,} times", style="default")
    if event.place:
        text.append(f"  {words(event.place)}", style="dim")
    if event.reason:
        text.append(f"  {shortened(event.reason, LONGEST)}", style="red")
    return text


def words(place: Place) -> str:
    """Return the line, with a path relative to the current directory if it is inside."""
    here = os.path.join(os.getcwd(), "")
    file = place.file.removeprefix(here)
    return shortened(f"{file}:{place.line} in {place.function}", LONGEST)
