"""The check of a release finds each fault that a wheel or a source distribution may have."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("elftools", reason="make release-check installs pyelftools")
from scripts.release import check

ROOT = Path(__file__).parents[2]
INFO = "ctxvars-1.2.3.dist-info"
METADATA = "Metadata-Version: 2.4\nName: ctxvars\nVersion: 1.2.3\n"
FILES = {
    "ctxvars/__init__.py": "",
    "ctxvars/_core.pyi": "",
    "ctxvars/_core.cpython-311-x86_64-linux-gnu.so": "",
    "ctxvars/py.typed": "",
    f"{INFO}/METADATA": METADATA + "Requires-Dist: rich>=13 ; extra == 'cli'\n",
    f"{INFO}/WHEEL": "",
    f"{INFO}/RECORD": "",
    f"{INFO}/licenses/LICENSE-MIT": "",
    f"{INFO}/sboms/ctxvars.cyclonedx.json": "",
}


def wheel(directory: Path, files: dict[str, str]) -> Path:
    path = directory / "ctxvars-1.2.3-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def problems(directory: Path, files: dict[str, str]) -> list[str]:
    return [*check.problems_of_file(wheel(directory, files), "1.2.3")]


def test_a_good_wheel_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, FILES) == []


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        (f"{INFO}/licenses/LICENSE-MIT", "it lacks the licences"),
        (f"{INFO}/sboms/ctxvars.cyclonedx.json", "it lacks a list of the crates (SBOM)"),
        ("ctxvars/py.typed", "it lacks py.typed"),
        ("ctxvars/_core.pyi", "it lacks the stubs"),
        ("ctxvars/_core.cpython-311-x86_64-linux-gnu.so", "it lacks the compiled module"),
    ],
)
def test_a_missing_file_is_found(tmp_path: Path, missing: str, problem: str) -> None:
    assert problems(tmp_path, {name: FILES[name] for name in FILES if name != missing}) == [problem]


@pytest.mark.parametrize(
    "extra",
    ["tests/__init__.py", "ctxvars/__pycache__/a.pyc", "ctxvars/notes.txt", "ctxvars/_core.so.new"],
)
def test_a_file_that_does_not_belong_there_is_found(tmp_path: Path, extra: str) -> None:
    assert problems(tmp_path, FILES | {extra: ""}) == [f"it has the file {extra}"]


def test_wrong_metadata_is_found(tmp_path: Path) -> None:
    metadata = "Name: other\nVersion: 1.2.4\nRequires-Dist: rich>=13\n"
    assert problems(tmp_path, FILES | {f"{INFO}/METADATA": metadata}) == [
        "its name is other",
        "its version is 1.2.4, but Cargo.toml has 1.2.3",
        "it needs rich>=13 at run time",
    ]


def test_a_large_wheel_is_found(tmp_path: Path) -> None:
    large = FILES | {"ctxvars/__init__.py": "#" * check.MOST_BYTES}
    (problem,) = problems(tmp_path, large)
    assert problem.endswith("bytes, more than 850,000")


def test_debug_information_is_found(tmp_path: Path) -> None:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("no C compiler")
    source, made = tmp_path / "number.c", tmp_path / "number.so"
    source.write_text("int number(void) { return 1; }")

    def library(*flags: str) -> bytes:
        subprocess.run([cc, "-shared", source, "-o", made, *flags], check=True)
        return made.read_bytes()

    assert [*check.problems_of_library(library("-s"))] == []
    assert [*check.problems_of_library(library("-g"))] == [
        "the compiled module has debug information",
        "the compiled module has symbols that no code needs",
    ]


def test_a_source_without_a_lock_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "ctxvars-1.2.3.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in {*check.NEEDED_IN_A_SOURCE, "PKG-INFO"} - {"Cargo.lock"}:
            text = (METADATA if name == "PKG-INFO" else "").encode()
            member = tarfile.TarInfo(f"ctxvars-1.2.3/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    assert [*check.problems_of_file(path, "1.2.3")] == ["it lacks Cargo.lock"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    assert [*check.problems_of_file(path, "1.2.3")] == [
        "it is neither a wheel nor a source distribution"
    ]


def checkout(directory: Path, changelog: str, owner: str) -> Path:
    (directory / "Cargo.toml").write_text('[package]\nversion = "1.2.3"\n')
    (directory / "CHANGELOG.md").write_text(changelog)
    (directory / "pyproject.toml").write_text(f'Source = "https://example.org/{owner}/ctxvars"\n')
    return directory


def test_a_tag_needs_its_version_a_dated_section_and_an_organisation(tmp_path: Path) -> None:
    ready = checkout(tmp_path, "## [1.2.3] - 2026-11-27\n", "founders")
    assert [*check.problems_of_tag("v1.2.3", ready)] == []
    not_ready = checkout(tmp_path, "## [Unreleased]\n", "OWNER")
    assert [*check.problems_of_tag("v1.2.4", not_ready)] == [
        "the tag is v1.2.4, but Cargo.toml has version 1.2.3",
        "CHANGELOG.md has no section '## [1.2.3] - YYYY-MM-DD'",
        "pyproject.toml has the placeholder OWNER in place of the organisation",
    ]


def test_the_version_is_in_one_place() -> None:
    version = check.version()
    assert f'version = "{version}"' not in (ROOT / "pyproject.toml").read_text()
    import ctxvars

    assert ctxvars.__version__ == version
