"""Draw the picture in docs/explanation/class-creation.md: the page of a program, in Chromium.

    .venv/bin/python -m tests.pages.picture

`make test-page` installs what it needs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.support.pages.browser import browser, chromium
from tests.support.pages.reading import POINT, ROOT, class_named, number_of, read_page

PICTURE = ROOT / "docs" / "explanation" / "images" / "class-creation.png"
STEP = "y = Column()"
WIDTH, HEIGHT = 1120, 680


def main() -> None:
    path = chromium() or sys.exit("Chromium is not installed: apt-get install chromium")
    with TemporaryDirectory() as directory, browser(path) as running:
        file = Path(directory) / "page.html"
        command = [sys.executable, "-m", "ctxvars", "explain-class", str(POINT), "-o", str(file)]
        subprocess.run(command, check=True)
        data = read_page(file.read_text()).data
        point = class_named(data, "Point")
        page = running.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        step = number_of(STEP, point["steps"])
        page.goto(f"{file.as_uri()}#{data['classes'].index(point) + 1}.{step}")
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
    # A palette takes a third of the space.
    Image.open(PICTURE).convert("RGB").quantize(256).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
