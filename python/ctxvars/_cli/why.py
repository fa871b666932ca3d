"""`python -m ctxvars why`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from ctxvars._cli.explain_class import show
from ctxvars._diagnosis.explain import Explainer
from ctxvars._diagnosis.wording import of_event, wrapped
from ctxvars._recording.events import SETS, Event
from ctxvars._recording.timeline import Timeline

MOST_LINES = 10
"""The different lines at which a variable was set that are listed."""


def main(arguments: list[str]) -> int:
    """Run the command; return the exit status: 1 if a value was missing."""
    parser = argparse.ArgumentParser(
        prog="python -m ctxvars why",
        description="Says why a variable had no value, from the file of a recording.",
    )
    parser.add_argument("name", metavar="NAME", help="the name of the variable")
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a file that `python -m ctxvars trace -o FILE` or Timeline.save has written",
    )
    options = parser.parse_args(arguments)
    path = Path(options.file)
    try:
        timeline = Timeline.load(path)
    except OSError as error:
        parser.error(f"cannot read {options.file!r}: {error.strerror}")
    except ValueError as error:
        parser.error(f"cannot read {options.file!r}: {error}")
    events = timeline.history(options.name)
    if not events:
        names = sorted({event.name for event in timeline.events() if event.name is not None})
        known = f"there are {', '.join(names)}" if names else "there is none"
        parser.error(f"the recording has no events of a variable {options.name!r}: {known}")
    missing = [event for event in events if event.kind == "missing"]
    if missing:
        show("\n\n".join(explanations(timeline, missing)))
    else:
        show(summary(timeline, options.name, events))
    return 1 if missing else 0


def explanations(timeline: Timeline, missing: list[Event]) -> list[str]:
    """Return the different explanations, each with the number of events that it explains."""
    explainer = Explainer(timeline._read())
    counts = Counter(str(explainer.explain(event)) for event in missing)
    return [text + ("" if count == 1 else f"\n  ({count} times)") for text, count in counts.items()]


def summary(timeline: Timeline, name: str, events: tuple[Event, ...]) -> str:
    """Return where a variable was set whose value was never missing."""
    branches = {branch.number: branch for branch in timeline._read().branches}
    sets = Counter(
        of_event(event, branches[event.context]) for event in events if event.kind in SETS
    )
    lines = [f"{name} was not missing while the recording was on"]
    for place, count in sets.most_common(MOST_LINES):
        lines.append(wrapped("set", place + ("" if count == 1 else f" ({count} times)")))
    if len(sets) > MOST_LINES:
        lines.append(f"  and at {len(sets) - MOST_LINES} other places")
    return "\n".join(lines)
