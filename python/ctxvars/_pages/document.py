"""One HTML file, made of a template, styles, a script and data."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from ctxvars._pages.escape import json_in_html, visible


def document(title: str, name: str, data: Any, *, scripts: tuple[str, ...] = ()) -> str:
    """Return a page, in ASCII.

    Args:
        title: the title, any text.
        name: the name of the files for the page: `name.html` has the contents of `<body>`,
            `name.css` follows `theme.css`, and `name.js` reads the data.
        data: what the script finds, as JSON, in the element `data`.
        scripts: the names of scripts that come before `name.js`.

    The Content-Security-Policy of the page admits this one script and this one style, by their
    hashes, and no connection. So text that is shown cannot run, even if it were not escaped.
    """
    style = static("theme.css") + static(f"{name}.css")
    script = "".join(static(f"{each}.js") for each in (*scripts, name))
    return Template(static("page.html")).substitute(
        title=escape(visible(title)).encode("ascii", "xmlcharrefreplace").decode(),
        style_hash=digest(style),
        script_hash=digest(script),
        style=style,
        body=static(f"{name}.html"),
        data=json_in_html(data),
        script=script,
    )


def static(file: str) -> str:
    """Read one of the files beside this module; the package may be in a zip file."""
    return (files("ctxvars._pages") / "static" / file).read_text(encoding="ascii")


def digest(text: str) -> str:
    """Return a hash as Content-Security-Policy writes it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
