"""Text from running programs, which may contain anything, for use in a page."""

from __future__ import annotations

import json
from typing import Any


def visible(text: str) -> str:
    """Replace invisible characters, such as NUL and changes of direction, by their escapes.

    Surrogates are replaced, too. Tabs and line feeds stay.
    """
    if text.isprintable():
        return text
    return "".join(
        it if it.isprintable() or it in "\t\n" else it.encode("unicode_escape").decode()
        for it in text
    )


def shortened(text: str, most: int) -> str:
    """Return a text of one line, cut to a length."""
    return visible(text[:most]).replace("\n", "\\n") + ("..." if len(text) > most else "")


def json_in_html(data: Any) -> str:
    """Return JSON for a `<script type="application/json">` element, in ASCII.

    The element ends at the first `</script`, and `<!--` changes how it is read. So there is no `<`.
    """
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
