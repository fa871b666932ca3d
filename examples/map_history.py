"""A sheet of cells with undo and redo, in which two people work at the same time.

Every version of the sheet is kept as a `ctxvars.Map`, which shares unchanged cells with the version
before. With the argument "dict", each version is a copy of a dict instead. The output is the same,
but copying and comparing whole sheets takes more time and memory.
"""

import random
import sys
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from ctxvars import MISSING, Map

CELLS = 2_000
VERSIONS = 1_000

Edits = Mapping[str, int | None]  # None empties a cell.
Sheet = TypeVar("Sheet", bound=Mapping[str, int])


class Versions(Protocol[Sheet]):
    """The operations on versions of a sheet."""

    def first(self, cells: dict[str, int]) -> Sheet: ...
    def edited(self, sheet: Sheet, edits: Edits) -> Sheet: ...
    def edits_between(self, old: Sheet, new: Sheet) -> Edits: ...
    def merged(self, base: Sheet, ours: Sheet, theirs: Sheet) -> Sheet: ...


class Maps:
    """Versions are maps: the operations are O(changes), whatever the size of the sheet."""

    def first(self, cells: dict[str, int]) -> Map[str, int]:
        return Map(cells)

    def edited(self, sheet: Map[str, int], edits: Edits) -> Map[str, int]:
        with sheet.mutate() as draft:
            for cell, value in edits.items():
                if value is None:
                    draft.discard(cell)
                else:
                    draft[cell] = value
        return draft.finish()

    def edits_between(self, old: Map[str, int], new: Map[str, int]) -> Edits:
        return {cell: None if now is MISSING else now for cell, _, now in old.diff(new)}

    def merged(
        self, base: Map[str, int], ours: Map[str, int], theirs: Map[str, int]
    ) -> Map[str, int]:
        # Where both have changed a cell, the larger number stays.
        return base.merge(ours, theirs, resolve=lambda cell, _, *both: largest(*both))


class Dicts:
    """Versions are dicts: the operations are O(cells)."""

    def first(self, cells: dict[str, int]) -> dict[str, int]:
        return cells

    def edited(self, sheet: dict[str, int], edits: Edits) -> dict[str, int]:
        cells = {**sheet, **edits}
        return {cell: value for cell, value in cells.items() if value is not None}

    def edits_between(self, old: dict[str, int], new: dict[str, int]) -> Edits:
        cells = old.keys() | new.keys()
        return {cell: new.get(cell) for cell in cells if old.get(cell) != new.get(cell)}

    def merged(
        self, base: dict[str, int], ours: dict[str, int], theirs: dict[str, int]
    ) -> dict[str, int]:
        our_edits, their_edits = self.edits_between(base, ours), self.edits_between(base, theirs)
        settled = {
            cell: largest(our_edits[cell], their_edits[cell])
            for cell in our_edits.keys() & their_edits.keys()
        }
        return self.edited(base, {**our_edits, **their_edits, **settled})


def largest(*values: object) -> int:
    """Return the largest number, without the values that stand for an empty cell."""
    return max(value for value in values if isinstance(value, int))


class History(Generic[Sheet]):
    """All versions of a sheet; one of them is shown."""

    def __init__(self, first: Sheet) -> None:
        self._versions = [first]
        self._shown = 0

    @property
    def shown(self) -> Sheet:
        return self._versions[self._shown]

    def record(self, sheet: Sheet) -> None:
        """Show a new version, and drop those that `redo` would show."""
        self._versions[self._shown + 1 :] = [sheet]
        self._shown += 1

    def undo(self, times: int = 1) -> None:
        self._shown = max(self._shown - times, 0)

    def redo(self, times: int = 1) -> None:
        self._shown = min(self._shown + times, len(self._versions) - 1)


def some_edits(chance: random.Random) -> Edits:
    """Write a number into four cells, and empty a fifth one."""
    cells = chance.sample(range(CELLS), 5)
    numbers = [chance.randrange(1, 1_000) for _ in range(4)]
    return dict(zip([f"cell {cell}" for cell in cells], [*numbers, None], strict=True))


def described(sheet: Mapping[str, int]) -> str:
    return f"{len(sheet)} cells, sum {sum(sheet.values())}"


def work(versions: Versions[Sheet]) -> bool:
    """Edit, undo, redo and merge; return whether everything came out right."""
    chance = random.Random(1)
    first = versions.first({f"cell {cell}": cell for cell in range(CELLS)})
    history = History(first)
    print("first version:", described(first))

    changed = 0
    for _ in range(VERSIONS):
        before = history.shown
        history.record(versions.edited(before, some_edits(chance)))
        changed += len(versions.edits_between(before, history.shown))
    last = history.shown
    print(f"after {VERSIONS} edits:", described(last))
    print("cells changed on the way:", changed)

    since_first = versions.edits_between(first, last)
    print("cells changed in the end:", len(since_first))
    right = versions.edited(first, since_first) == last

    history.undo(VERSIONS + 1)
    right &= history.shown == first
    history.redo(VERSIONS - 10)
    base = history.shown
    print("ten edits undone:", described(base))
    print("cells that redoing them would change:", len(versions.edits_between(base, last)))

    ours = versions.edited(base, {"total": 1, "cell 1": 10, "cell 2": None})
    theirs = versions.edited(base, {"total": 2, "cell 3": 30, "cell 4": None})
    history.record(versions.merged(base, ours, theirs))
    print("merged:", dict(sorted(versions.edits_between(base, history.shown).items())))
    history.redo()
    right &= history.shown["total"] == 2
    history.undo()
    return right and history.shown == base


if __name__ == "__main__":
    right = work(Dicts()) if sys.argv[1:] == ["dict"] else work(Maps())
    if not right:
        sys.exit("A version has changed, or an operation went wrong.")
