"""Where a test has set the variables that it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctxvars import _core
from ctxvars._missing import MISSING
from ctxvars._recording.events import CHANGES, Place, Places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctxvars.pytest_plugin._current import Variable

# A full recording loses the oldest events. The last event of each variable counts.
_CAPACITY = 4096
_PLUGIN = str(Path(__file__).parent)
_PACKAGE = str(Path(__file__).parents[1])


class Recorder:
    """Records the changes of one test, by the recorder of ctxvars."""

    def __init__(self) -> None:
        # There is one recorder in a process. If it is on already, its events are read.
        self._is_ours = not _core.is_recording()
        if self._is_ours:
            _core.start_recording(_CAPACITY, False)

    def stop(self) -> None:
        if self._is_ours:
            _core.stop_recording()

    @staticmethod
    def places(context: int | None) -> dict[Variable, Place]:
        """Return where each variable was last changed.

        The changes in the given context count more than those in others, such as a child task's.
        """
        lines = Places()
        elsewhere: dict[Variable, Place] = {}
        here: dict[Variable, Place] = {}
        for (
            _,
            kind,
            variable,
            _,
            _,
            its_context,
            _,
            _,
            code,
            instruction,
            _,
        ) in _core.recorded_events():
            if kind not in CHANGES or variable is None or code is None:
                continue
            if code.co_filename.startswith(_PLUGIN):
                continue
            places = here if its_context == context else elsewhere
            if code.co_filename.startswith(_PACKAGE):
                # Assignments to fields of groups run Python code of ctxvars, which has no caller
                # in a recording. An earlier place would mislead.
                places.pop(variable, None)
            else:
                places[variable] = lines.place(code, instruction)
        return elsewhere | here


@dataclass(eq=False)
class Call:
    """The call of a test function: the owner of the changes that it makes."""

    checks: bool
    failed: bool = False
    context: int | None = None
    """The number of the context in which the test has run, for the recorder."""
    left: dict[Variable, Any] = field(default_factory=dict)
    """Values that examples of Hypothesis have left."""
    places: dict[Variable, Place] = field(default_factory=dict)


def _described(call: Call, left: dict[Variable, Any], root: Path) -> Iterator[str]:
    for variable, value in sorted(left.items(), key=lambda item: item[0].name):
        change = "deleted" if value is MISSING else "set"
        place = ""
        if variable in call.places:
            found = call.places[variable]
            path = Path(found.file)
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            place = f" at {shown}:{found.line} in {found.function}"
        yield f"  {variable.name!r}, {change}{place}"


def message(call: Call, left: dict[Variable, Any], root: Path) -> str:
    """Return the text with which the test fails. It has no values: they may be secrets."""
    names = ", ".join(sorted(repr(variable.name) for variable in left))
    return "\n".join(
        [
            f"the test leaves context variables changed: {names}",
            *_described(call, left, root),
            "Set them by a scope, a fixture or ctxvars_override, or reset their tokens.",
        ]
    )
