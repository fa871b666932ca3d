"""The crates in a wheel, or in a program that uses the crate, have permissive licences."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {"Apache-2.0", "Apache-2.0 WITH LLVM-exception", "MIT", "Unicode-3.0", "Zlib"}


def metadata() -> dict[str, Any]:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed")
    command = [cargo, "metadata", "--format-version=1", "--locked", "--all-features"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cargo cannot list the dependencies: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shipped(found: dict[str, Any]) -> set[str]:
    """The dependencies of the library, also indirect ones; not those of tests and benchmarks."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    ids, left = set(), [found["resolve"]["root"]]
    while left:
        each = left.pop()
        if each not in ids:
            ids.add(each)
            left += (
                dependency["pkg"]
                for dependency in nodes[each]["deps"]
                if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
            )
    return ids


def is_permissive(licence: str) -> bool:
    """Whether an SPDX expression can be met by allowed licences. Old crates write "/" for "OR"."""

    def evaluated(term: re.Match[str]) -> str:
        return term[0].lower() if term[0] in {"AND", "OR"} else str(term[0] in ALLOWED)

    terms = r"[\w.+-]+(?: WITH [\w.+-]+)?"
    met: bool = eval(re.sub(terms, evaluated, licence.replace("/", " OR ")) or "False")
    return met


def test_all_crates_have_permissive_licences() -> None:
    found = metadata()
    ids = shipped(found)
    packages = [each for each in found["packages"] if each["id"] in ids]
    licences = {each["name"]: each["license"] or "" for each in packages}
    assert len(packages) > 10
    assert not {name for name, licence in licences.items() if not is_permissive(licence)}


@pytest.mark.parametrize(
    ("licence", "permissive"),
    [
        ("MIT", True),
        ("MIT/Apache-2.0", True),
        ("Unlicense OR MIT", True),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception AND MIT", True),
        ("MIT WITH Classpath-exception-2.0", False),
        ("GPL-3.0 OR LGPL-3.0", False),
        ("MIT AND GPL-3.0", False),
        ("", False),
    ],
)
def test_licences_are_read(licence: str, permissive: bool) -> None:
    assert is_permissive(licence) is permissive
