"""Checks wheels and source distributions before a release: `make release-check`.

    python -m scripts.release.check [--tag v0.1.0] dist/*

Prints what is wrong, one line each, and exits with 1 if anything is. With a tag, the version must
be that of the tag, and the changelog must have a dated section for it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from io import BytesIO
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 850_000
"""The greatest size of a wheel."""

PLACEHOLDER = "/OWNER/"
"""The organisation in the addresses of pyproject.toml, until it is set."""

EXTENSION = re.compile(r"ctxvars/_core\.[\w.-]*(so|pyd)")
IN_A_WHEEL = re.compile(
    rf"{EXTENSION.pattern}"
    r"|ctxvars/(?!.*__pycache__)[\w/]+\.(py|pyi)|ctxvars/py\.typed"
    r"|ctxvars/_pages/static/[\w.]+\.(css|html|js)"
    r"|[\w.-]+\.dist-info/(METADATA|RECORD|WHEEL|entry_points\.txt)"
    r"|[\w.-]+\.dist-info/licenses/LICENSE-(APACHE|MIT)"
    r"|[\w.-]+\.dist-info/sboms/[\w.]+\.cyclonedx\.json"
)
NEEDED_IN_A_WHEEL = {
    "the licences": r".*/licenses/LICENSE-(APACHE|MIT)",
    "a list of the crates (SBOM)": r".*/sboms/.*\.cyclonedx\.json",
    "py.typed": r"ctxvars/py\.typed",
    "the stubs": r"ctxvars/_core\.pyi",
    "the compiled module": EXTENSION.pattern,
}
NEEDED_IN_A_SOURCE = ("Cargo.lock", "Cargo.toml", "README.md", "pyproject.toml", "src/lib.rs")
NEEDED_IN_A_SOURCE += ("LICENSE-APACHE", "LICENSE-MIT", "python/ctxvars/__init__.py")


def version(root: Path = ROOT) -> str:
    """The version in Cargo.toml, the only place that has it."""
    found: str = tomllib.loads((root / "Cargo.toml").read_text())["package"]["version"]
    return found


def problems_of_tag(tag: str, root: Path = ROOT) -> Iterator[str]:
    """What keeps the checkout from being released under a tag."""
    current = version(root)
    if tag != f"v{current}":
        yield f"the tag is {tag}, but Cargo.toml has version {current}"
    heading = rf"^## \[{re.escape(current)}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        yield f"CHANGELOG.md has no section '## [{current}] - YYYY-MM-DD'"
    if PLACEHOLDER in (root / "pyproject.toml").read_text():
        yield "pyproject.toml has the placeholder OWNER in place of the organisation"


def problems_of_metadata(metadata: Message, expected: str) -> Iterator[str]:
    if metadata["Name"] != "ctxvars":
        yield f"its name is {metadata['Name']}"
    if metadata["Version"] != expected:
        yield f"its version is {metadata['Version']}, but Cargo.toml has {expected}"
    for requirement in metadata.get_all("Requires-Dist", []):
        if "extra ==" not in requirement:
            yield f"it needs {requirement} at run time"


def problems_of_library(library: bytes) -> Iterator[str]:
    """What a compiled module should not have. Libraries of other systems than ELF are not read."""
    try:
        sections = [section.name for section in ELFFile(BytesIO(library)).iter_sections()]
    except ELFError:
        return
    if any(name.startswith((".debug", ".zdebug")) for name in sections):
        yield "the compiled module has debug information"
    if ".symtab" in sections:
        yield "the compiled module has symbols that no code needs"


def problems_of_wheel(wheel: Path, expected: str) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name in names:
            if not IN_A_WHEEL.fullmatch(name):
                yield f"it has the file {name}"
        for what, pattern in NEEDED_IN_A_WHEEL.items():
            if not any(re.fullmatch(pattern, name) for name in names):
                yield f"it lacks {what}"
        for name in names:
            if name.endswith(".dist-info/METADATA"):
                yield from problems_of_metadata(message_from_bytes(archive.read(name)), expected)
            elif EXTENSION.fullmatch(name):
                yield from problems_of_library(archive.read(name))
    if (size := wheel.stat().st_size) > MOST_BYTES:
        yield f"it has {size:,} bytes, more than {MOST_BYTES:,}"


def problems_of_source(source: Path, expected: str) -> Iterator[str]:
    top = f"ctxvars-{expected}"
    with tarfile.open(source) as archive:
        names = archive.getnames()
        for needed in NEEDED_IN_A_SOURCE:
            if f"{top}/{needed}" not in names:
                yield f"it lacks {needed}"
        try:
            information = archive.extractfile(f"{top}/PKG-INFO")
        except KeyError:
            yield "it lacks PKG-INFO"
            return
        assert information is not None
        yield from problems_of_metadata(message_from_bytes(information.read()), expected)


def problems_of_file(file: Path, expected: str) -> Iterator[str]:
    if file.suffix == ".whl":
        yield from problems_of_wheel(file, expected)
    elif file.name.endswith(".tar.gz"):
        yield from problems_of_source(file, expected)
    else:
        yield "it is neither a wheel nor a source distribution"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Check what will be released.")
    parser.add_argument("--tag", help="the tag of the release, such as v0.1.0")
    parser.add_argument("files", nargs="+", type=Path, help="wheels and source distributions")
    options = parser.parse_args(arguments)
    expected = version()
    found = [] if options.tag is None else [*problems_of_tag(options.tag)]
    for file in options.files:
        found += [f"{file.name}: {problem}" for problem in problems_of_file(file, expected)]
    for problem in found:
        print(problem)
    # Whether the metadata is valid, and the README can be shown.
    twine = [sys.executable, "-m", "twine", "check", "--strict", *map(str, options.files)]
    status = subprocess.run(twine, check=False).returncode
    print(f"{len(options.files)} files checked, {len(found)} problems")
    return 1 if found or status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
