"""The elements and the data of a page that a command has written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
POINT = ROOT / "tests" / "pages" / "point.py"
"""A program whose class `Point` has a step of each kind, except an error."""


@dataclass
class Page(HTMLParser):
    """The elements of a page."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    """The texts inside elements, by tag."""

    def __post_init__(self) -> None:
        super().__init__()
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside][-1] += data

    @property
    def data(self) -> Any:
        """The data for the script of the page."""
        return json.loads(self.texts["script"][0])


def read_page(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    return page


def class_named(data: Any, name: str) -> Any:
    """Return the last class of that name in the data of a page."""
    return next(each for each in reversed(data["classes"]) if each["name"] == name)


def namespaces(steps: list[Any]) -> list[dict[str, str]]:
    """Return the namespace after each step, as the page shows it."""
    found: list[dict[str, str]] = []
    current: dict[str, str] = {}
    for step in steps:
        for name, value in step["changes"]:
            if value is None:
                current.pop(name, None)
            else:
                current[name] = value
        found.append(dict(current))
    return found


def number_of(text: str, steps: list[Any]) -> int:
    """Return the number of the first step whose text begins so."""
    return next(number for number, step in enumerate(steps, 1) if step["text"].startswith(text))
