"""The file that answers a newcomer's question exists: `where_is_it.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).with_name("where_is_it.toml")
WHERE = tomllib.loads(DATA.read_text(encoding="utf-8"))["where"]


def test_there_are_forty_questions() -> None:
    assert len(WHERE) >= 40


@pytest.mark.parametrize("question", WHERE)
def test_the_file_exists(question: str) -> None:
    assert (ROOT / WHERE[question]).is_file(), WHERE[question]
