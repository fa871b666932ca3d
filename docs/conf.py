"""Settings of Sphinx for `make docs`."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
SOURCE_AT = f"{URLS['Source']}/blob/main/"

project = "ctxvars"
author = "The ctxvars developers"
release = version = CARGO["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = False

# Links within a page and between pages are checked: a wrong anchor is a warning, and `make docs`
# takes warnings for errors.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "substitution"]
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "undoc-members": False}
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
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
