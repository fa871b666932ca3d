"""Settings of Sphinx for `make docs`."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
URLS = PYPROJECT["project"]["urls"]
MYPY = PYPROJECT["tool"]["mypy"]
SOURCE_AT = f"{URLS['Source']}/blob/main/"

project = "ctxvars"
author = "The ctxvars developers"
release = version = CARGO["version"]

default_role = "py:obj"
sys.path.insert(0, str(Path(__file__).parent))  # for the extension
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "stub_signatures",
]
exclude_patterns = ["_build"]

# Links within a page and between pages are checked: a wrong anchor is a warning, and `make docs`
# takes warnings for errors.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# The packages of integrations are not needed to read their docstrings.
autodoc_mock_imports = [
    name.partition(".")[0]
    for override in MYPY["overrides"]
    if override.get("ignore_missing_imports")
    for name in override["module"]
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "undoc-members": False}
# Otherwise, attributes of dataclasses would be described twice.
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
add_module_names = False

html_theme = "furo"
html_title = f"ctxvars {release}"
html_static_path = ["_static"]
html_css_files = ["wide_tables.css"]
html_theme_options = {
    "source_repository": URLS["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"

LINK = re.compile(r"\]\((\.\./[^()\s]+)\)")


def link_to_the_repository(app: Any, name: str, source: list[str]) -> None:
    """Replace links to files outside of docs/, which work on GitHub, by their addresses there."""
    folder = (Path(app.srcdir) / name).parent

    def address(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / link[1]))
        if target.is_relative_to(app.srcdir):
            return link[0]
        return f"]({SOURCE_AT}{target.relative_to(ROOT)})"

    source[0] = LINK.sub(address, source[0])


def setup(app: Any) -> None:
    app.connect("source-read", link_to_the_repository)
