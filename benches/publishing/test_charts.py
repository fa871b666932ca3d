"""Results can be drawn: checked before everything is measured, not after."""

from __future__ import annotations

import pytest
from paired import OURS
from report import Bar, Measurement

from publishing.results import Result

pytest.importorskip("matplotlib", reason="matplotlib is not installed: make bench")


def test_operations_with_and_without_a_bar() -> None:
    from publishing.charts import contextvars

    peer = "contextvars"
    found = [
        Result.of(
            Measurement(peer, "an operation", {OURS: [1.0, 3.0], peer: [2.0, 2.0]}, bars=bars)
        )
        for bars in ([], [Bar(0.4, peer)])
    ]
    [panel] = contextvars(found, "caption").axes
    # Each has a line for the quartiles and a point for the median; the last line is the peer's.
    assert [[*line.get_xdata()] for line in panel.lines[1:-1:2]] == [[1.0], [1.0]]
