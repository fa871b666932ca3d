"""Code in the documentation runs, and the `make` commands in it exist."""

import builtins
import contextvars
import doctest
import re
import runpy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.doctests import run_doctest

pytestmark = pytest.mark.filterwarnings(
    # Other tests leave threads behind, which a fork does not copy.
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / "README.md", ROOT / "examples" / "README.md"),
    *sorted(ROOT.glob("docs/**/*.md")),
]
TYPING = sorted(ROOT.glob("tests/typing/[!_]*.py"))
# A block that begins with "```python needs rpds" compares with a package that may be missing.
BLOCK = re.compile(r"^```([\w{}-]*)(?: needs (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    peer: str
    text: str
    line: int


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2] or "", found[3], text.count("\n", 0, found.start(3)))
        for found in BLOCK.finditer(text)
    ]


def comparisons() -> list[Any]:
    """Each document with each of the peers that it compares with."""
    return [
        pytest.param(document, peer, id=f"{document.relative_to(ROOT)}-{peer}")
        for document in DOCUMENTS
        for peer in sorted({block.peer for block in blocks(document)} - {""})
    ]


def run_block(block: Block, document: Path, names: dict[str, Any]) -> None:
    if ">>> " in block.text:
        where = (document.name, str(document), block.line)
        test = doctest.DocTestParser().get_doctest(block.text, {}, *where)
        test.globs = names
        run_doctest(test)
    else:
        # The empty lines make a traceback show the line of the document.
        exec(compile("\n" * block.line + block.text, document, "exec"), names)


def run_document(document: Path, peers: set[str]) -> None:
    # The blocks of a document build on one another, as a reader takes them.
    names: dict[str, Any] = {"__name__": "__main__"}

    def run() -> None:
        for block in blocks(document):
            if block.language in {"python", "pycon"} and block.peer in peers:
                run_block(block, document, names)

    contextvars.Context().run(run)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document(document: Path) -> None:
    run_document(document, {""})


@pytest.mark.parametrize(("document", "peer"), comparisons())
def test_comparison(document: Path, peer: str) -> None:
    if not hasattr(builtins, peer):
        pytest.importorskip(peer, reason=f"what the document says of {peer} is not tried")
    run_document(document, {"", peer})


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_make_commands_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    commands = set(re.findall(r"(?:^|`|\$ )make ([\w-]+)", text, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8") if commands else ""
    assert commands <= set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("path", TYPING, ids=lambda path: path.stem)
def test_typing_examples_run(path: Path) -> None:
    # Type checkers check these files. They also run, so the stubs agree with the package.
    contextvars.Context().run(lambda: runpy.run_path(str(path), run_name="__main__"))
