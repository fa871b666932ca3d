"""Numbers in the documentation agree with the stored results of the benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pages_and_excerpts_agree_with_stored_results() -> None:
    command = [sys.executable, "-m", "publishing.publish", "--check"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "benches")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pages_show_no_bars() -> None:
    for page in (ROOT / "docs" / "benchmarks").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert "| bar |" not in text, page
        assert "missed" not in text, page
