"""Measurements of benchmarks, and tables of them for the terminal and the documentation.

A measurement is stored in the `extra_info` of its benchmark, and so in the JSON file of
pytest-benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any, NamedTuple

from paired import OURS


class Bar(NamedTuple):
    """The highest acceptable ratio to a peer or, without a peer, the highest acceptable amount."""

    limit: float
    peer: str | None


class Quartiles(NamedTuple):
    low: float
    middle: float
    high: float


@dataclass
class Measurement:
    """The samples of all contenders for one operation; samples of equal index are a pair."""

    suite: str
    operation: str
    samples: dict[str, list[float]]
    size: int | None = None
    unit: str = "s"
    bars: list[Bar] = field(default_factory=list)
    reference: str | None = None
    """The peer that the ratio refers to, unless a bar names one; by default the first peer."""

    @classmethod
    def of(cls, extra_info: Mapping[str, Any]) -> Measurement:
        fields = dict(extra_info["measurement"])
        return cls(**fields | {"bars": [Bar(*bar) for bar in fields["bars"]]})

    def record(self, benchmark: Any) -> None:
        benchmark.extra_info["measurement"] = asdict(self)

    @property
    def peers(self) -> list[str]:
        return [name for name in self.samples if name != OURS]

    def median(self, contender: str) -> float:
        return median(self.samples[contender])

    def ratio(self, peer: str) -> Quartiles:
        pairs = zip(self.samples[OURS], self.samples[peer], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        return Quartiles(*quantiles(ratios, n=4)) if len(ratios) > 1 else Quartiles(*ratios * 3)

    def misses(self, bar: Bar) -> bool:
        amount = self.median(OURS) if bar.peer is None else self.ratio(bar.peer).middle
        return amount > bar.limit


def quantity(amount: float, unit: str) -> str:
    """Return an amount with three significant digits and its unit, with a suitable prefix."""
    if unit == "B":
        return f"{amount:.0f} B"
    prefixes = {"": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9} if unit == "s" else {"": 1.0}
    smallest = [*prefixes][-1]
    prefix = next((name for name, scale in prefixes.items() if abs(amount) >= scale), smallest)
    scaled = amount / prefixes[prefix]
    decimals = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
    return f"{scaled:.{decimals}f} {prefix}{unit}".rstrip()


def conditions(machine: Mapping[str, Any], contenders: Iterable[str]) -> str:
    """Return a line with the interpreter, the machine and the versions of the contenders."""
    versions = [f"{name} {machine['versions'].get(name, '')}".rstrip() for name in contenders]
    return f"{machine['interpreter']}; {machine['hardware']}; {', '.join(versions)}"


def contenders(measurements: Iterable[Measurement]) -> list[str]:
    """Return the names of all contenders, first ctxvars."""
    return list(dict.fromkeys(name for each in measurements for name in (OURS, *each.peers)))


def number(count: int) -> str:
    return f"{count:,}".replace(",", "_")


class Table(NamedTuple):
    """Cells as text. The first column is aligned to the left, all others to the right."""

    head: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        rule = ["---", *["---:"] * (len(self.head) - 1)]
        return "\n".join(f"| {' | '.join(row)} |" for row in [self.head, rule, *self.rows]) + "\n"


def table(measurements: Iterable[Measurement]) -> Table:
    """Return a table with a row for each measurement, and for each further bar of a measurement."""
    measurements = list(measurements)
    names = contenders(measurements)
    sized = any(each.size is not None for each in measurements)
    ratio = ["ratio to", "25%", "ratio", "75%", "bar", ""]
    head = ["operation", *["size"] * sized, *names, *ratio]
    rows = []
    for each in measurements:
        size = [""] if each.size is None else [number(each.size)]
        amounts = [
            quantity(each.median(name), each.unit) if name in each.samples else "-"
            for name in names
        ]
        cells = [each.operation, *size * sized, *amounts]
        bars: list[Bar | None] = [*each.bars] or [None]
        for bar in bars:
            rows.append(cells + _ratio_cells(each, bar))
            cells = [each.operation, *size * sized, *[""] * len(amounts)]
    return Table(head, rows)


def _ratio_cells(measurement: Measurement, bar: Bar | None) -> list[str]:
    cells = [""] * 4
    if measurement.peers:
        peer = (bar and bar.peer) or measurement.reference or measurement.peers[0]
        ratios = measurement.ratio(peer)
        cells = [peer, *("<0.01" if ratio < 0.005 else f"{ratio:.2f}" for ratio in ratios)]
    if bar is None:
        return [*cells, "", ""]
    limit = f"{bar.limit:.2f}" if bar.peer else quantity(bar.limit, measurement.unit)
    return [*cells, limit, "missed" if measurement.misses(bar) else ""]


def suites(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Return the measurements of each suite, in the order in which they were made."""
    found: dict[str, list[Measurement]] = {}
    for each in measurements:
        found.setdefault(each.suite, []).append(each)
    return found
