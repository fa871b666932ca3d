"""Draw the pictures of pages in the documentation: the pages of two programs, in Chromium.

    .venv/bin/python -m tests.pages.picture [class-creation] [timeline]

`make test-page` installs what it needs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PIL import Image

from tests.support.pages.browser import browser, chromium
from tests.support.pages.reading import POINT, ROOT, class_named, number_of, read_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

DOCS = ROOT / "docs"
SERVER = ROOT / "tests" / "pages" / "server.py"
STEP = "y = Column()"
WIDTH = 1120


def main() -> None:
    path = chromium() or sys.exit("Chromium is not installed: apt-get install chromium")
    chosen = sys.argv[1:] or PICTURES
    with TemporaryDirectory(prefix="example-") as directory, browser(path) as running:
        for name in chosen:
            draw, height, picture = PICTURES[name]
            page = running.new_page(viewport={"width": WIDTH, "height": height})
            draw(page, Path(directory) / "page.html")
            picture.parent.mkdir(exist_ok=True)
            page.screenshot(path=picture)
            # A palette takes a third of the space.
            Image.open(picture).convert("RGB").quantize(256).save(picture, optimize=True)
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


def class_creation(page: Page, file: Path) -> None:
    """Show a step of a class."""
    write(POINT, "explain-class", "-o", str(file))
    data = read_page(file.read_text()).data
    point = class_named(data, "Point")
    step = number_of(STEP, point["steps"])
    page.goto(f"{file.as_uri()}#{data['classes'].index(point) + 1}.{step}")


def timeline(page: Page, file: Path) -> None:
    """Show a span and the context that inherits it."""
    write(SERVER, "trace", "--values", "-o", str(file))
    page.goto(file.as_uri())
    page.locator("#rows > div", has_text="set user = 'Grace'").click()


def write(program: Path, *command: str) -> None:
    """Run a command that writes a page, on a copy of the program beside the page."""
    directory = Path(command[-1]).parent
    shutil.copy(program, directory)
    arguments = [sys.executable, "-m", "ctxvars", *command, program.name]
    subprocess.run(arguments, check=True, cwd=directory)


EXPLANATION, HOW_TO = DOCS / "explanation" / "images", DOCS / "how-to" / "images"
PICTURES: dict[str, tuple[Callable[[Page, Path], None], int, Path]] = {
    "class-creation": (class_creation, 680, EXPLANATION / "class-creation.png"),
    "timeline": (timeline, 760, HOW_TO / "timeline.png"),
}


if __name__ == "__main__":
    main()
