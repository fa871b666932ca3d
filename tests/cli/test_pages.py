"""The parts that all pages share: escapes, colours and the document."""

from __future__ import annotations

import json
import re

import pytest

from ctxvars._pages.colours import coloured
from ctxvars._pages.document import static
from ctxvars._pages.escape import json_in_html, shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("caf\u00e9 \U0001f600", "caf\u00e9 \U0001f600"),
        ("tab\tline\n", "tab\tline\n"),
        ("\0\x1b\x7f", r"\x00\x1b\x7f"),
        ("\ud800", r"\ud800"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("\r\x0c\u2028", r"\r\x0c\u2028"),
    ],
)
def test_invisible_characters_are_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_long_text_is_cut_before_it_is_escaped() -> None:
    assert shortened("\0" * 100_000, 3) == r"\x00\x00\x00..."
    assert shortened("abc\n", 4) == r"abc\n"


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "]]>", "\u2028", "\ud800", "&lt;"])
def test_json_cannot_end_its_element(text: str) -> None:
    embedded = json_in_html({text: [text]})
    assert "<" not in embedded
    assert embedded.isascii()
    assert json.loads(embedded) == {text: [text]}


SOURCE = '''@decorated
class C(Base):  # comment
    """Several
    lines."""
    def method(self): return 0x1F + f"{self.x!r} text"
    match = 1
'''


def test_colours_of_each_kind() -> None:
    lines = coloured(SOURCE)
    assert lines[0] == [("", "@"), ("decorator", "decorated")]
    kinds = [("keyword", "class"), ("", " "), ("defined", "C"), ("", "(Base):  ")]
    assert lines[1] == [*kinds, ("comment", "# comment")]
    assert lines[2] == [("", "    "), ("string", '"""Several')]
    assert lines[3] == [("string", '    lines."""')]
    assert ("number", "0x1F") in lines[4]
    assert ("keyword", "return") in lines[4]
    assert ("string", 'f"') in lines[4] or ("string", 'f"{self.x!r} text"') in lines[4]
    # A keyword in some places only.
    assert lines[5] == [("", "    match = "), ("number", "1")]


@pytest.mark.parametrize(
    "source",
    [
        *("", "\n", "x = 1", "x = '''", "(", "\tx\n y", "a\x0cb\n", "x = 'a\\\nb'\n", "x\\\n"),
        *(
            "\x1c\x1d\u2028\n",
            "0777",
            "f'{1'",
            "f'{{1}} {x!r:{{3}}} }}' + 1\n",
            "caf\u00e9 = '\U0001f600' # \u00fc\n",
        ),
    ],
)
def test_colours_keep_all_text(source: str) -> None:
    lines = coloured(source)
    assert ["".join(text for _, text in line) for line in lines] == [
        visible(line) for line in source.split("\n")
    ]


@pytest.mark.parametrize(
    "file", ["page.html", "theme.css", *(f"class_creation.{it}" for it in ("html", "css", "js"))]
)
def test_the_files_of_pages_fit_into_a_page(file: str) -> None:
    """They are in ASCII, do not end their element, and load nothing."""
    text = static(file)
    if file != "page.html":
        assert not re.search("</(script|style)", text, re.IGNORECASE)
    assert not re.search("https?:|url\\(|@import|fetch\\(", text)
