"""The entry points in pyproject.toml, for tests of a package that is not installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def entry_points(group: str) -> dict[str, str]:
    """Return the entry points of a group, by their names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, str] = project["entry-points"][group]
    return found


def install_entry_points(directory: Path, *groups: str) -> None:
    """Write a distribution with these entry points into a folder for `sys.path`."""
    metadata = directory / "entry_points_of_ctxvars-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: entry_points_of_ctxvars\nVersion: 1.0\n")
    lines = []
    for group in groups:
        lines.append(f"[{group}]")
        lines += [f"{name} = {value}" for name, value in entry_points(group).items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
