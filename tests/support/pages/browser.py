"""A headless Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Of the packages of Debian and of Google.
NAMES = ("chromium", "google-chrome")


def chromium() -> str | None:
    """Return the path of an installed browser."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Run the browser. The browsers that Playwright would download are not used."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The sandbox does not work for root, and the pages are those of the tests.
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield running
        finally:
            running.close()
