"""What has been measured can be drawn: told before everything is measured, not after."""

from __future__ import annotations

import pytest
from paired import OURS
from report import Bar, Measurement

pytest.importorskip("matplotlib", reason="matplotlib is not installed: make bench")


def test_operations_with_and_without_a_bar() -> None:
    from charts import contextvars

    peer = "contextvars"
    found = [
        Measurement(peer, "an operation", {OURS: [1.0, 3.0], peer: [2.0, 2.0]}, bars=bars)
        for bars in ([], [Bar(0.4, peer)])
    ]
    [panel] = contextvars(found, "caption").axes
    # Each has a line for the quartiles, the median and the bar; then there is that of the peer.
    assert [[*line.get_xdata()] for line in panel.lines[2:-1:3]] == [[], [0.4]]
    assert [[*line.get_ydata()] for line in panel.lines[2:-1:3]] == [[], [1]]
