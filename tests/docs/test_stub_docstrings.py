"""The stubs of the compiled module show the docstrings of the compiled module."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "stub_docstrings.py"


def test_the_stub_has_the_docstrings_of_the_compiled_module() -> None:
    names = runpy.run_path(str(SCRIPT))
    for path in names["STUBS"]:
        stub = path.read_text(encoding="utf-8")
        # `python scripts/stub_docstrings.py` brings it up to date.
        assert names["with_docstrings"](stub) == stub
