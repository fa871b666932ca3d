"""The page of `explain-class`: it shows the right steps, by clicks and keys, and has no errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages.reading import POINT, class_named, namespaces, number_of, read_page

playwright = pytest.importorskip("playwright.sync_api", reason="pip install --group page")
Page = playwright.Page
expect = playwright.expect

POINT_CLASS = 5
"""The number of the class `Point` in the address."""


def explain(directory: Path, source: str, *options: str) -> Path:
    """Write the page of a program."""
    (directory / "program.py").write_text(source, encoding="utf-8")
    page = directory / "page.html"
    command = [sys.executable, "-m", "ctxvars", "explain-class", "program.py", "-o", str(page)]
    done = subprocess.run([*command, *options], cwd=directory, stderr=subprocess.PIPE)
    assert page.exists(), done.stderr
    return page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `point.py`."""
    return explain(tmp_path_factory.mktemp("point"), POINT.read_text())


@pytest.fixture
def page(file: Path, open_page: Callable[..., Page]) -> Page:
    """The page, at the first step of `Point`."""
    return open_page(file, f"#{POINT_CLASS}.1")


@pytest.fixture
def steps(file: Path) -> list[Any]:
    """The steps of `Point`. Their number depends on the version of Python."""
    return class_named(read_page(file.read_text()).data, "Point")["steps"]


def text(page: Page) -> str:
    return page.locator("#text").inner_text()


def shown_names(page: Page) -> dict[str, str]:
    """Return the names in the namespace, without those that this step deletes."""
    rows = page.locator("#names tr:not(.deleted)").all()
    return {
        row.locator("td").nth(0).inner_text(): row.locator("td").nth(1).inner_text() for row in rows
    }


def current_line(page: Page) -> str:
    return page.locator("#source .current > :nth-child(2)").inner_text().strip()


def test_it_begins_with_the_first_step_of_the_first_class(
    file: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(file)
    assert page.title() == "Class creation: program.py"
    assert text(page) == "bases: none"
    first = read_page(file.read_text()).data["classes"][0]
    expect(page.locator("#count")).to_have_text(f"step 1 of {len(first['steps'])}")
    expect(page.locator("#class option")).to_have_count(6)
    expect(page.locator("#first")).to_be_disabled()
    expect(page.locator("#notice")).to_be_hidden()


def test_each_step_shows_its_line_instruction_and_namespace(page: Page, file: Path) -> None:
    point = class_named(read_page(file.read_text()).data, "Point")
    source = POINT.read_text().split("\n")
    for number, (step, names) in enumerate(
        zip(point["steps"], namespaces(point["steps"]), strict=True), 1
    ):
        assert text(page) == step["text"]
        expect(page.locator("#reason")).to_have_text(step["reason"])
        assert current_line(page) == source[step["line"] - 1].strip()
        assert page.locator("#source .called").count() == len(step["calls"])
        assert shown_names(page) == names
        expect(page.locator("[aria-current=step] .number")).to_have_text(str(number))
        if step["span"]:
            start, end = step["span"]
            assert page.locator("#bytecode .ran").count() == end - start
            words = point["instructions"][end - 1][2]
            expect(page.locator("#bytecode .current > :nth-child(2)")).to_have_text(words)
        page.locator("#forward").click(force=True)
    expect(page.locator("#forward")).to_be_disabled()


def test_each_change_of_the_namespace_is_marked(page: Page) -> None:
    def changes() -> list[str]:
        return page.locator("#names tr[class]").all_inner_texts()

    page.locator("#steps button", has_text="namespace:").click()
    assert changes() == ["key\t'id'\tnew"]
    page.locator("#steps button", has_text="key = 'y'").click()
    assert changes() == ["key\t'y'\tchanged"]
    page.locator("#steps button", has_text="del key").click()
    assert changes() == ["key\t'y'\tdeleted"]
    page.locator("#steps button", has_text="call of Meta").click()
    assert changes() == []


@pytest.mark.parametrize(
    ("keys", "step"),
    [
        ("ArrowRight", 2),
        ("ArrowDown", 2),
        ("j", 2),
        ("j j k", 2),
        ("j j ArrowLeft", 2),
        ("j j ArrowUp", 2),
        ("ArrowLeft", 1),
        ("End", 0),
        ("End j", 0),
        ("End Home", 1),
        ("Control+j", 1),
        ("x", 1),
    ],
)
def test_keys(page: Page, steps: list[Any], keys: str, step: int) -> None:
    """The step 0 stands for the last one."""
    for key in keys.split():
        page.keyboard.press(key)
    expect(page.locator("#count")).to_have_text(f"step {step or len(steps)} of {len(steps)}")


def test_keys_on_the_slider_and_in_panes(page: Page) -> None:
    count = page.locator("#count")
    page.locator("#slider").focus()
    page.keyboard.press("ArrowDown")
    expect(count).to_contain_text("step 2 of")
    # In a pane that scrolls, the vertical arrows scroll, and the horizontal ones step.
    page.locator("#source").focus()
    page.keyboard.press("ArrowDown")
    expect(count).to_contain_text("step 2 of")
    page.keyboard.press("ArrowRight")
    expect(count).to_contain_text("step 3 of")


def test_the_slider_chooses_a_step(page: Page, steps: list[Any]) -> None:
    slider = page.locator("#slider")
    number = number_of("x = Column()", steps)
    slider.fill(str(number))
    assert text(page) == "x = Column()"
    assert slider.get_attribute("aria-valuetext") == f"Step {number}: x = Column()"
    page.locator("#last").click()
    assert slider.input_value() == str(len(steps))


def test_a_click_on_a_line_goes_to_its_next_step(page: Page) -> None:
    line = page.locator("#source li").nth(38)
    for step in ("axes = ('x',)", "axes = ('x', 'y')", "axes = ('x',)"):
        line.locator("button").click()
        assert text(page) == step
    page.locator("#source li", has_text="x = Column()").locator("> span").click()
    assert text(page) == "x = Column()"
    # This line has no step.
    page.locator("#source li").nth(4).click()
    assert text(page) == "x = Column()"
    expect(page.locator("#source li").nth(4).locator("button")).to_have_count(0)


def test_the_class_is_chosen_in_a_list(page: Page) -> None:
    page.locator("#class").select_option(label="Meta, line 16")
    assert text(page) == "bases: type"
    assert current_line(page) == "class Meta(type):"
    expect(page.locator("#outer")).to_be_hidden()
    # The lines of the other class are not marked any more.
    expect(page.locator("#source li").nth(38).locator("button")).to_have_count(0)


def test_the_steps_of_a_nested_class_and_back(page: Page) -> None:
    page.locator("#steps button", has_text="class Corners").click()
    page.get_by_role("button", name="Show the steps of Point.Corners").click()
    assert text(page) == "bases: list"
    assert page.evaluate("location.hash") == f"#{POINT_CLASS + 1}.1"
    page.get_by_role("button", name="Back to Point").click()
    assert text(page) == "class Corners(list[int])"


def test_the_address_has_the_step(
    page: Page, file: Path, steps: list[Any], open_page: Callable[..., Page]
) -> None:
    number = number_of("x = Column()", steps)
    page.evaluate(f"location.hash = '{POINT_CLASS}.{number}'")
    expect(page.locator("#text")).to_have_text("x = Column()")
    assert text(open_page(file, "#5.999")) == "class: Point"
    for wrong in ("#99.1", "#x", "#-1.-1", "#__proto__"):
        assert text(open_page(file, wrong)) == "bases: none", wrong


def test_the_current_rows_are_in_view(
    file: Path, steps: list[Any], open_page: Callable[..., Page]
) -> None:
    page = open_page(file, f"#{POINT_CLASS}.1", height=420)
    for _ in steps[1:]:
        page.keyboard.press("j")
        called = page.locator("#source .called").first
        expect(called if called.count() else page.locator("#source .current")).to_be_in_viewport()
        expect(page.locator("[aria-current=step]")).to_be_in_viewport()
        if page.locator("#bytecode .current").count():
            expect(page.locator("#bytecode .current")).to_be_in_viewport()
        for row in page.locator("#names tr[class]").all():
            expect(row).to_be_in_viewport()


def test_focus_follows_the_step_and_the_step_is_announced(page: Page) -> None:
    page.locator("#steps button").nth(2).click()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.step") == "3"
    # Tab stops at one step only.
    assert page.locator("#steps button[tabindex='0']").count() == 1
    now = page.locator("#now")
    assert now.get_attribute("aria-live") == "polite"
    for control in page.locator("button, select, input").all():
        assert (
            control.get_attribute("aria-label")
            or control.get_attribute("hidden") is not None
            or (control.inner_text() or control.evaluate("it => it.labels.length"))
        )


def test_the_page_without_bytecode(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(explain(tmp_path, POINT.read_text(), "--no-bytecode"), "#5.999")
    expect(page.locator("#bytecode-pane")).to_be_hidden()
    assert shown_names(page)["x"] == "Column()"


HOSTILE = r'''
"""</script><script>document.title = "hacked"</script><!-- <script>"""
class Evil:
    def __init__(self, text): self.text = text
    def __repr__(self): return self.text
class C:
    a = Evil("</script><img src=x onerror=alert(1)>")
    b = Evil("'\"`${1}&lt;")
    c = Evil("\0\ud800\u202e")
    locals()["<b>name</b>"] = Evil("x" * 100_000)
    locals()["__proto__"] = 4
    constructor = 5
'''


def test_hostile_text_is_shown_as_text(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(explain(tmp_path, HOSTILE), "#2.999")
    assert page.title() == "Class creation: program.py"
    names = shown_names(page)
    assert names["a"] == "</script><img src=x onerror=alert(1)>"
    assert names["b"] == "'\"`${1}&lt;"
    assert names["c"] == r"\x00\ud800\u202e"
    assert names["<b>name</b>"] == "x" * 37 + "..."
    assert (names["__proto__"], names["constructor"]) == ("4", "5")
    assert page.locator("#names b, #names img, #source img").count() == 0


def test_thousands_of_lines_and_steps(
    tmp_path: Path, open_page: Callable[..., Page], screenshot: Callable[[Page, str], None]
) -> None:
    lines = "".join(f"    name{line} = [{line}]\n" for line in range(3000))
    page = open_page(explain(tmp_path, f"class Long:\n{lines}    for i in range(9000): pass\n"))
    expect(page.locator("#notice")).to_contain_text("steps of this class are left out.")
    page.evaluate("location.hash = '1.2900'")
    expect(page.locator("#source .current")).to_be_in_viewport()
    expect(page.locator("#bytecode .current")).to_be_in_viewport()
    expect(page.locator("[aria-current=step]")).to_be_in_viewport()
    screenshot(page, "long")


def test_a_changed_name_is_shown_among_thousands(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    source = (
        "class C:\n    first = 1\n    for i in range(900): locals()[f'x{i}'] = i\n    first = 2\n"
    )
    page = open_page(explain(tmp_path, source))
    page.locator("#source li").last.locator("button").click()
    assert page.locator("#names tr.changed").all_inner_texts() == ["first\t2\tchanged"]
    assert page.locator("#names tr").count() == 301


def test_a_failed_creation(
    tmp_path: Path, open_page: Callable[..., Page], screenshot: Callable[[Page, str], None]
) -> None:
    page = open_page(explain(tmp_path, "class C:\n    x = 1\n    y = x / 0\n"))
    expect(page.locator("#notice")).to_have_text(
        "The file raised ZeroDivisionError: division by zero."
    )
    page.keyboard.press("End")
    assert text(page) == "raised ZeroDivisionError: division by zero"
    assert current_line(page) == "y = x / 0"
    screenshot(page, "error")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("device", "width", "height"), [("desktop", 1280, 800), ("phone", 390, 844)]
)
@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("prepare", "namespace:"),
        ("body", "axes = ('x', 'y')"),
        ("nested", "class Corners"),
        ("set-name", "Column().__set_name__(..., 'x')"),
    ],
)
def test_pictures(
    file: Path,
    open_page: Callable[..., Page],
    screenshot: Callable[[Page, str], None],
    scheme: str,
    device: str,
    width: int,
    height: int,
    name: str,
    step: str,
    steps: list[Any],
) -> None:
    """The page fits the width, panes are beside or below one another, colours follow the scheme."""
    page = open_page(file, f"#{POINT_CLASS}.{number_of(step, steps)}", width, height, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    source = page.locator("#source").bounding_box()
    names = page.locator("#namespace").bounding_box()
    assert source
    assert names
    if device == "desktop":
        assert page.evaluate("document.documentElement.scrollHeight") <= height
        assert names["x"] > source["x"] + source["width"]
    else:
        assert names["y"] > source["y"] + source["height"]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == (scheme == "dark")
    screenshot(page, f"{name}-{device}-{scheme}")
