"""Reads the files that `cargo bench` has written into measurements, and adds the bars.

Criterion keeps the results of a round that was saved as a baseline. Rounds are paired, as in the
Python benchmarks. Memory and instructions are counted once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from paired import OURS
from report import Bar, Measurement

ROUNDS = "round-*"
LATEST = "new"
"""The name that criterion gives to the last run, which may not have been saved as a round."""

COPIED = "std"
"""Not persistent: a version is a full copy. It is a peer only where versions are derived."""

LOOKUPS = ("get", "get a missing key")
DERIVING = ("set an existing key", "set a new key", "remove")
IN_PLACE = ("insert all in place", "remove all in place", "count all by entry")
WHOLE = (
    *IN_PLACE,
    "extend by a tenth",
    "collect",
    "iterate",
    "== of maps built apart",
    "== after an edit and its undoing",
    "diff after an edit",
)
BYTES = "requested bytes per entry"
KINDS = ("u64", "String")
ORDER = [
    f"{operation}, {kind} keys" for kind in KINDS for operation in (*LOOKUPS, *DERIVING, *WHOLE)
]
"""The order of operations in tables. Other operations come after these."""

RATIOS = {
    **dict.fromkeys((*LOOKUPS, *IN_PLACE), 0.9),
    **dict.fromkeys(DERIVING, 0.5),
    **dict.fromkeys(("collect", "extend by a tenth"), 0.8),
    **dict.fromkeys(("iterate", "== of maps built apart"), 0.3),
}
"""The highest acceptable time as a ratio to the best peer, from 100 entries on, with any keys."""

MILLION = 1_000_000
BYTES_RATIO = 0.5

AMOUNTS = {
    ("map", "== after an edit and its undoing", MILLION): 5e-6,
    ("map", "diff after an edit", MILLION): 5e-6,
    ("context", "get", 10): 2e-9,
    ("context", "set and drop the token", 10): 25e-9,
    ("context", "current", 10): 10e-9,
}
"""The highest acceptable times, in seconds."""

Samples = dict[str, list[float]]


class Case(NamedTuple):
    """A measured operation, and the size of the map or context."""

    suite: str
    operation: str
    size: int
    unit: str = "s"

    @property
    def done(self) -> str:
        """The operation without the kind of the keys."""
        return self.operation.partition(",")[0]


def measurements(target: Path) -> list[Measurement]:
    """Return all measurements in the target folder of cargo, in order."""
    found: dict[Case, Samples] = {}
    for case, contender, amount in [*_timed(target / "criterion"), *_counted(target / "tmp")]:
        found.setdefault(case, {}).setdefault(contender, []).append(amount)
    return [
        _measurement(case, found[case]) for case in sorted(found, key=_place) if OURS in found[case]
    ]


def _place(case: Case) -> tuple[int, str, int]:
    place = ORDER.index(case.operation) if case.operation in ORDER else len(ORDER)
    return place, case.operation, case.size


def _timed(folder: Path) -> Iterator[tuple[Case, str, float]]:
    """The medians, in the order of the rounds."""
    rounds = sorted(folder.glob(f"*/*/*/{ROUNDS}")) or sorted(folder.glob(f"*/*/*/{LATEST}"))
    for each in rounds:
        what = _read(each / "benchmark.json")
        suite, _, operation = what["group_id"].partition(" ")
        nanoseconds = _read(each / "estimates.json")["median"]["point_estimate"]
        case = Case(suite, operation, int(what["value_str"]))
        yield case, what["function_id"], nanoseconds * 1e-9


def _counted(folder: Path) -> Iterator[tuple[Case, str, float]]:
    for path in sorted(folder.glob("amounts/*.json")):
        for each in _read(path):
            case = Case("map", each["operation"], each["size"], each["unit"])
            yield case, each["contender"], each["amount"]


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _measurement(case: Case, samples: Samples) -> Measurement:
    rounds = len(samples[OURS])
    # Us first; a contender that missed a round has no pairs to make ratios of.
    samples = {OURS: samples[OURS]} | {
        name: samples[name] for name in sorted(samples) if len(samples[name]) == rounds
    }
    measurement = Measurement(case.suite, case.operation, samples, case.size, case.unit)
    equals = [name for name in measurement.peers if name != COPIED or case.done in DERIVING]
    measurement.reference = min(equals, key=measurement.median, default=None)
    measurement.bars = [*_bars(case, measurement.reference)]
    return measurement


def _bars(case: Case, best: str | None) -> Iterator[Bar]:
    amount = AMOUNTS.get((case.suite, case.done, case.size))
    if amount is not None:
        yield Bar(amount, None)
    if best and case.suite == "map" and case.unit == "s" and case.done in RATIOS:
        yield Bar(RATIOS[case.done], best)
    if best and (case.operation, case.size) == (BYTES, MILLION):
        yield Bar(BYTES_RATIO, best)
