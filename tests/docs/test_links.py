"""Links between documents lead to files and headings that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("*.md", "docs/**/*.md", "examples/*.md", ".github/**/*.md")
DOCUMENTS = sorted(
    path for place in PLACES for path in ROOT.glob(place) if "_build" not in path.parts
)
FENCED = re.compile(r"^(```|:::).*?^\1$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
REPOSITORY = re.compile(r"https://github\.com/[\w-]+/ctxvars\b")


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def prose(document: Path) -> str:
    return FENCED.sub("", document.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """The anchor that GitHub and the documentation site give to a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(document: Path) -> set[str]:
    return {anchor(heading) for heading in HEADING.findall(prose(document))}


def broken_links(document: Path) -> list[str]:
    broken = []
    for target in LINK.findall(INLINE_CODE.sub("", prose(document))):
        path, _, fragment = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        file = document.parent / path if path else document
        missing = not file.exists() or (
            fragment and file.suffix == ".md" and fragment not in anchors(file)
        )
        if missing:
            broken.append(target)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("# One heading\n[a](#one-heading) [b](#other) [c](no.md) [d](page.md)\n")
    assert broken_links(document) == ["#other", "no.md"]


SOURCES = ("*.toml", "Makefile", "benches/**/*.*", "python/**/*.py", "scripts/*", "src/**/*.rs")
PAGE = re.compile(r"\bdocs/[\w/-]+\.md\b")


@pytest.mark.parametrize("place", SOURCES)
def test_pages_that_sources_name_exist(place: str) -> None:
    for path in ROOT.glob(place):
        if path.is_file() and path.suffix not in {".so", ".pyc"}:
            for page in PAGE.findall(path.read_text(encoding="utf-8")):
                assert (ROOT / page).is_file(), f"{path} names {page}"


def test_all_addresses_of_the_repository_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    source = project["urls"]["Source"]
    places = ("*.md", "*.toml", ".github/**/*.*", "docs/**/*.md", "examples/*.md", "python/**/*.py")
    files = {path for place in places for path in ROOT.glob(place) if path.is_file()}
    for path in files:
        assert set(REPOSITORY.findall(path.read_text(encoding="utf-8"))) <= {source}, path
    crate = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]
    assert crate["documentation"] == project["urls"]["Documentation"]
