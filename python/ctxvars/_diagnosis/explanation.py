"""`Explanation`: what `why` says about a variable."""

from __future__ import annotations

from dataclasses import dataclass

from ctxvars._diagnosis.origin import Origin
from ctxvars._diagnosis.wording import of_place, wrapped
from ctxvars._public import public
from ctxvars._recording.events import Place


@public
@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a variable has its value, or why it has none. Its text is for people.

    Attributes:
        name: the name of the variable.
        is_set: whether it has a value in the context. A default does not count.
        value: the shortened `repr` of the value, or None. It is not shown if the name of the
            variable is one of a secret, as for `annotate_exceptions`.
        place: the line of the program that has asked, or at which the value was missing.
        origin: where the value was set; if it is missing, where the value that is missed was set.
            None if that was not recorded.
        removed: the line at which the value was removed again, or None.
        boundary: the name of the boundary that lost the value, such as "thread", "pool", "task";
            without a recording, of the innermost boundary under which the code runs. None if the
            value is not missing, or if no boundary is known.
        title: what the boundary is.
        reason: why the value is missing; one or several sentences.
        remedy: what to use instead, or None.
        guide: the address of the section of the guide, or None.
    """

    name: str
    is_set: bool
    value: str | None = None
    place: Place | None = None
    origin: Origin | None = None
    removed: Place | None = None
    boundary: str | None = None
    title: str | None = None
    reason: str | None = None
    remedy: str | None = None
    guide: str | None = None

    @property
    def summary(self) -> str:
        """The boundary, the reason and the remedy in one line."""
        sentences = [f"Lost by {self.title}."] if self.title else []
        if self.reason:
            sentences.append(self.reason)
        if self.remedy:
            sentences.append(f"Instead: {self.remedy}.")
        return " ".join(sentences)

    def __str__(self) -> str:
        lines = [f"{self.name} = {self.value}" if self.is_set else f"{self.name} has no value here"]
        if self.place is not None:
            lines.append(wrapped("here", of_place(self.place)))
        if self.origin is not None:
            lines.append(wrapped("set", str(self.origin)))
        if self.removed is not None:
            lines.append(wrapped("removed", of_place(self.removed)))
        if self.title is not None:
            lines.append(wrapped("lost by" if self.origin else "runs in", self.title))
        if self.reason is not None:
            lines.append(wrapped("reason", self.reason))
        if self.remedy is not None:
            lines.append(wrapped("instead", self.remedy))
        if self.guide is not None:
            lines.append(wrapped("guide", self.guide))
        return "\n".join(lines)
