"""Results as they are stored in docs/benchmarks/results, and the tables made of them.

A stored file has the medians and quartiles of one suite on one interpreter (or compiler). Pages,
charts and tables in other documents are written from these files and from nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paired import OURS
from report import Measurement, Quartiles, Table, number, quantity

SIGNIFICANT = 4
"""Digits that are stored: more would be noise, and would make each run change every line."""


def rounded(amount: float) -> float:
    return float(f"{amount:.{SIGNIFICANT}g}")


@dataclass
class Result:
    """The medians of all contenders for one operation, and the quartiles of a ratio."""

    operation: str
    size: int | None
    unit: str
    medians: dict[str, float]
    reference: str | None
    """The peer to which the ratio is, if there is a peer."""
    ratio: list[float] | None

    @classmethod
    def of(cls, measurement: Measurement) -> Result:
        peers = measurement.peers
        named = next((bar.peer for bar in measurement.bars if bar.peer), None)
        reference = named or measurement.reference or (peers[0] if peers else None)
        ratio = [rounded(each) for each in measurement.ratio(reference)] if reference else None
        medians = {name: rounded(measurement.median(name)) for name in measurement.samples}
        return cls(
            measurement.operation, measurement.size, measurement.unit, medians, reference, ratio
        )

    def median(self, contender: str) -> float:
        return self.medians[contender]

    @property
    def quartiles(self) -> Quartiles | None:
        return Quartiles(*self.ratio) if self.ratio else None


@dataclass
class Stored:
    """One file: the results of one suite in one environment."""

    suite: str
    environment: str
    """Names the file, and the heading on the page: "CPython 3.11", "rustc"."""
    caption: str
    results: list[Result]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        slug = self.environment.lower().replace(" ", "-").replace("'", "").replace(",", "")
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / f"{self.suite}.{slug}.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Stored:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**fields | {"results": [Result(**each) for each in fields["results"]]})


def load_all(folder: Path) -> dict[str, list[Stored]]:
    """All stored results of each suite, in the order of their environments."""
    found: dict[str, list[Stored]] = {}
    for path in sorted(folder.glob("*.json")):
        stored = Stored.load(path)
        found.setdefault(stored.suite, []).append(stored)
    return found


def contenders(results: Iterable[Result]) -> list[str]:
    """All contenders, ours first."""
    return list(dict.fromkeys(name for each in results for name in (OURS, *each.medians)))


def ratio_cell(ratio: float) -> str:
    return "<0.01" if ratio < 0.005 else f"{ratio:.2f}"


def table(results: Sequence[Result]) -> Table:
    """One row for each operation."""
    names = contenders(results)
    sized = any(each.size is not None for each in results)
    compared = any(each.ratio for each in results)
    ratio_head = ["ratio to", "25%", "ratio", "75%"] * compared
    rows = []
    for each in results:
        size = ["" if each.size is None else number(each.size)] * sized
        amounts = [
            quantity(each.median(name), each.unit) if name in each.medians else "-"
            for name in names
        ]
        ratios = [each.reference or "", *map(ratio_cell, each.ratio)] if each.ratio else [""] * 4
        rows.append([each.operation, *size, *amounts, *(ratios if compared else [])])
    return Table(["operation", *["size"] * sized, *names, *ratio_head], rows)
