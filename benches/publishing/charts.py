"""The charts of the documentation, drawn from the results of the benchmarks.

They are SVG files whose text is text, and equal results make equal files. The colours are those of
Okabe and Ito, which colour-blind readers can distinguish. Each contender also has a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from textwrap import fill
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator
from paired import OURS
from report import quantity

from publishing.results import Result, contenders

mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "ctxvars",
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e4e4e4",
        "font.size": 10,
        "axes.titlesize": 11,
    }
)


class Style(NamedTuple):
    colour: str
    marker: str


STYLES = {
    OURS: Style("#0072b2", "o"),
    "immutables": Style("#d55e00", "s"),
    "rpds": Style("#009e73", "^"),
    "dict": Style("#555555", "D"),
    "contextvars": Style("#d55e00", "s"),
    "imbl": Style("#d55e00", "s"),
    "im": Style("#cc79a7", "v"),
    "std": Style("#555555", "D"),
    "tokio::task_local": Style("#d55e00", "s"),
    "opentelemetry": Style("#009e73", "^"),
}
SECONDS = EngFormatter(unit="s")
IMMEASURABLE = 1e-7
"""The place of immeasurably small times on a logarithmic axis."""

Chart = Callable[[Sequence[Result], str], Figure]


def by_size(title: str, operations: Sequence[str], columns: int) -> Chart:
    """One panel for each operation: the time against the number of entries."""

    def draw(measurements: Sequence[Result], caption: str) -> Figure:
        rows = -(-len(operations) // columns)
        figure = Figure(figsize=(10, 0.9 + 3.1 * rows), layout="constrained")
        panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
        for panel, operation in zip(panels, operations, strict=False):
            found = [each for each in measurements if each.operation == operation]
            _lines(panel, operation, found)
        for panel in panels[len(operations) :]:
            panel.set_axis_off()
        for panel in panels[::columns]:
            panel.set_ylabel("time per operation")
        for column in range(columns):
            below = [panel for panel in panels[column::columns] if panel.axison]
            below[-1].set_xlabel("entries in the map")
        handles, labels = panels[0].get_legend_handles_labels()
        _finish(figure, title, caption, handles, labels)
        return figure

    return draw


def _lines(panel: Axes, operation: str, measurements: Sequence[Result]) -> None:
    panel.set_title(operation)
    panel.set_xscale("log")
    panel.set_yscale("log")
    for name in contenders(measurements):
        sizes = [each.size or 0 for each in measurements if name in each.medians]
        medians = [each.median(name) for each in measurements if name in each.medians]
        colour, marker = STYLES[name]
        width = 2.2 if name == OURS else 1.4
        order = 3 if name == OURS else 2
        panel.plot(
            sizes, medians, color=colour, marker=marker, label=name, linewidth=width, zorder=order
        )
    panel.xaxis.set_major_locator(FixedLocator([each.size or 0 for each in measurements]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda size, _: _short(size)))
    panel.yaxis.set_major_formatter(SECONDS)
    low, high = panel.get_ylim()
    # Within two decades, powers of ten alone say too little.
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,)))
    panel.yaxis.set_minor_locator(NullLocator())


def whole_maps(measurements: Sequence[Result], caption: str) -> Figure:
    """Operations that visit a whole map, or would if maps shared no nodes."""
    shown = [each for each in measurements if _is_of_whole_map(each)]
    title = "Operations on whole maps, and after a few edits of one"
    return dots(title, shown, caption, IMMEASURABLE)


def dots(title: str, shown: Sequence[Result], caption: str, least: float) -> Figure:
    """The time on a logarithmic axis from `least` upwards: a line of dots for each operation."""
    figure = Figure(figsize=(10, 1.6 + 0.42 * len(shown)), layout="constrained")
    panel = figure.subplots()
    for row, each in enumerate(shown):
        entries = each.size or 1 if each.operation.endswith(PER_ENTRY) else 1
        times = {
            name: max(each.median(name) * entries, least) for name in each.medians if name in STYLES
        }
        panel.plot([min(times.values()), max(times.values())], [row, row], color="#bbbbbb")
        for name, time in times.items():
            colour, marker = STYLES[name]
            order = 4 if name == OURS else 3
            panel.plot(
                [time],
                [row],
                color=colour,
                marker=marker,
                markersize=9,
                markeredgecolor="white",
                zorder=order,
            )
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(SECONDS)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlim(left=least / 2)
    panel.set_xlabel(f"time, logarithmic; what takes less is drawn at {SECONDS(least)}")
    labels = [
        f"{each.operation.removesuffix(PER_ENTRY)}, {_short(each.size or 0)}" for each in shown
    ]
    panel.set_yticks(range(len(shown)), labels)
    panel.set_ylim(len(shown) - 0.5, -0.5)
    names = contenders(shown)
    _finish(figure, title, caption, _handles(names), names)
    return figure


PER_ENTRY = ", per entry"
OF_A_MAP = "of a map"


def _is_of_whole_map(measurement: Result) -> bool:
    if measurement.unit != "s":
        return False
    if measurement.operation.endswith(PER_ENTRY):
        return measurement.size == 1_000_000
    return any(word in measurement.operation for word in ("edit", "update", "gc"))


def memory(measurements: Sequence[Result], caption: str) -> Figure:
    """Bytes per entry, besides what keys and values take."""
    shown = [each for each in measurements if each.unit == "B"]
    title = "Memory of a map besides its keys and values, as tracemalloc sees it"
    below = "entries in the map (tracemalloc does not see what rpds allocates)"
    return bytes_per_entry(title, shown, caption, below)


def bytes_per_entry(
    title: str, shown: Sequence[Result], caption: str, below: str = "entries in the map"
) -> Figure:
    """A group of bars for each number of entries."""
    names = contenders(shown)
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panel = figure.subplots()
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        entries = [each.size or 1 if each.operation.endswith(OF_A_MAP) else 1 for each in shown]
        heights = [each.median(name) / count for each, count in zip(shown, entries, strict=True)]
        places = [group + (index - (len(names) - 1) / 2) * width for group in range(len(shown))]
        bars = panel.bar(places, heights, width * 0.92, color=STYLES[name].colour, label=name)
        panel.bar_label(bars, fmt="%.0f", padding=2)
    panel.set_xticks(range(len(shown)), [_short(each.size or 0) for each in shown])
    panel.set_xlabel(below)
    panel.set_ylabel("bytes per entry")
    panel.margins(y=0.1)
    panel.grid(visible=False, axis="x")
    handles, labels = panel.get_legend_handles_labels()
    _finish(figure, title, caption, handles, labels)
    return figure


def contextvars(measurements: Sequence[Result], caption: str) -> Figure:
    """The ratio of each operation, with the quartiles of the rounds."""
    figure = Figure(figsize=(10, 1.8 + 0.4 * len(measurements)), layout="constrained")
    panel = figure.subplots()
    [peer] = {each.reference for each in measurements}
    assert peer
    colour, marker = STYLES[OURS]
    for row, each in enumerate(measurements):
        assert each.quartiles
        low, middle, high = each.quartiles
        panel.plot([low, high], [row, row], color=colour, linewidth=2.2)
        panel.plot([middle], [row], color=colour, marker=marker, markersize=8)
        times = " / ".join(quantity(each.median(name), each.unit) for name in (OURS, peer))
        panel.annotate(
            times,
            (1.01, row),
            xycoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
        )
    panel.axvline(1, color="#555555", linestyle="--", linewidth=1.2)
    panel.annotate(
        f"{OURS} / {peer}", (1.01, 1), xycoords="axes fraction", va="bottom", fontweight="bold"
    )
    panel.set_xlim(left=0)
    panel.set_xlabel(f"time as a ratio to {peer}: less is faster")
    panel.set_yticks(range(len(measurements)), [each.operation for each in measurements])
    panel.invert_yaxis()
    handles = [Line2D([], [], color=colour, marker=marker, markersize=8, linewidth=2.2)]
    labels = ["median and quartiles of the rounds"]
    _finish(figure, f"{OURS} against {peer}", caption, handles, labels)
    return figure


def _handles(names: Iterable[str]) -> list[Line2D]:
    styles = [STYLES[name] for name in names]
    return [
        Line2D([], [], color=colour, marker=marker, markersize=8, linestyle="none")
        for colour, marker in styles
    ]


def _finish(
    figure: Figure, title: str, caption: str, handles: Sequence[Artist], labels: Sequence[str]
) -> None:
    """Put the title and the legend above everything, and the caption below."""
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=len(labels),
        frameon=False,
        title=title,
        title_fontproperties={"size": 13, "weight": "bold"},
    )
    figure.supxlabel(fill(caption, 150), fontsize=8, color="#444444")


def _short(count: float) -> str:
    """A number of entries as few characters: 5, 10k, 1M."""
    for scale, suffix in ((1_000_000, "M"), (1_000, "k")):
        if count >= scale:
            return f"{count / scale:g}{suffix}"
    return f"{count:g}"


LOOKUPS = ("m[k]", "m.get(k)", "k in m", "m.get(k), miss", "k in m, miss")
DERIVED = ("set, existing key", "set, new key", "delete")

CHARTS: dict[str, dict[str, Chart]] = {
    "contextvars": {"contextvars": contextvars},
    "map": {
        "map-lookups": by_size("Lookups, str keys", LOOKUPS, 3),
        "map-derived": by_size("Deriving a map by one change, str keys", DERIVED, 3),
        "map-whole": whole_maps,
        "map-memory": memory,
    },
}
"""The charts of each suite that has any, by the names of their files."""
