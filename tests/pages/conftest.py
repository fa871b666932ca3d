"""A browser, and windows in it that fail a test if their page has an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.pages.browser import browser, chromium
from tests.support.pages.reading import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

SCREENSHOTS = ROOT / "target" / "screenshots"


@pytest.fixture(scope="session")
def running_browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with browser(path) as running:
        yield running


@pytest.fixture
def open_page(
    running_browser: Browser,
) -> Iterator[Callable[..., Page]]:
    """A function that opens a page. Errors and requests of the page fail the test."""
    problems: list[str] = []
    contexts = []

    def open_page(
        file: Path, fragment: str = "", width: int = 1280, height: int = 800, scheme: str = "light"
    ) -> Page:
        context = running_browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        address = file.absolute().as_uri()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(dialog.message) or dialog.dismiss())

        def requested(request: Request) -> None:
            if request.url.partition("#")[0] != address and not request.url.startswith("data:"):
                problems.append(request.url)

        page.on("request", requested)
        page.goto(address + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """A function that keeps a picture of a page, to look at."""

    def take(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png")

    return take
