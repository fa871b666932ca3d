"""The guide has a section for each boundary, and shows what `why` prints."""

from __future__ import annotations

import contextvars
import re
import sys
import tomllib
from pathlib import Path

import pytest

from ctxvars._diagnosis.remedies import BOUNDARIES, GUIDE, Boundary
from tests.docs.test_links import anchors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "missing-variables.md"


@pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=lambda it: it.name)
def test_each_boundary_has_a_section(boundary: Boundary) -> None:
    assert boundary.section in anchors(PAGE)
    assert boundary.guide == f"{GUIDE}#{boundary.section}"


def test_the_address_of_the_guide_is_that_of_the_documentation() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"{project['urls']['Documentation']}/how-to/{PAGE.stem}.html" == GUIDE


@pytest.mark.skipif(
    getattr(sys.flags, "thread_inherit_context", False), reason="threads inherit the value"
)
def test_the_guide_shows_what_why_prints(capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    source, printed = (
        re.search(rf"```{it}\n(.*?)```", text, re.DOTALL) for it in ("python", "text")
    )
    assert source
    assert printed
    code = compile(source[1], "/app/main.py", "exec")
    contextvars.Context().run(exec, code, {"__name__": "__main__"})
    assert capsys.readouterr().out == printed[1]


def test_remedies_name_things_that_exist() -> None:
    import ctxvars
    import ctxvars.integrations

    for boundary in BOUNDARIES.values():
        for remedy in (boundary.inside_remedy, boundary.outside_remedy):
            for name in re.findall(r"\bctxvars\.(\w+)", remedy):
                assert hasattr(ctxvars, name), (boundary.name, name)
