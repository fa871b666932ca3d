"""The page of a timeline: lanes, filters, details, keys and pointers, and no errors."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ctxvars import ContextVar
from ctxvars._pages.timeline import timeline_page
from tests.support.pages.reading import ROOT
from tests.support.recording.rows import Rows, many, server, tenant, user

playwright = pytest.importorskip("playwright.sync_api", reason="pip install --group page")
Page = playwright.Page
expect = playwright.expect

PROGRAM = ROOT / "tests" / "pages" / "server.py"
REASON = "The thread was started without its context."

# As in the script: the heights of the axis, of a thread, of a context, of a variable, of a gap.
AXIS, THREAD, CONTEXT, VARIABLE, GAP = 24, 24, 20, 18, 6
GUTTER = 150
PLACE = "rows.py:16 in function"
FIRST_CONTEXT = AXIS + THREAD
SECOND_CONTEXT = FIRST_CONTEXT + CONTEXT + VARIABLE + GAP


def write(directory: Path, rows: Rows) -> Path:
    """Write the page of rows; the values that are missing have a reason."""
    recording = rows.recording()
    events = tuple(
        dataclasses.replace(event, reason=REASON) if event.kind == "missing" else event
        for event in recording.events
    )
    file = directory / "page.html"
    file.write_text(timeline_page(dataclasses.replace(recording, events=events)))
    return file


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `server`."""
    return write(tmp_path_factory.mktemp("server"), server())


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a full recording."""
    return write(tmp_path_factory.mktemp("many"), many(65_536))


@pytest.fixture(scope="module")
def traced_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a real program."""
    page = tmp_path_factory.mktemp("requests") / "page.html"
    command = [sys.executable, "-m", "ctxvars", "trace", "--values", "-o", page, PROGRAM]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return page


@pytest.fixture
def page(file: Path, open_page: Callable[..., Page]) -> Page:
    return open_page(file)


@pytest.fixture
def large(large_file: Path, open_page: Callable[..., Page]) -> Page:
    return open_page(large_file)


def title(page: Page) -> Any:
    return page.locator("#details h2")


def lanes_of(contexts: str) -> str:
    return f"Lanes of {contexts}. The list of events has the contents."


def count(page: Page) -> Any:
    return page.locator("#count")


def rows(page: Page) -> Any:
    return page.locator("#rows > div")


def lanes(page: Page) -> list[str]:
    """The labels of the lanes, from top to bottom."""
    page.locator("#canvas").focus()
    page.keyboard.press("Escape")
    labels: list[str] = []
    while True:
        page.keyboard.press("ArrowDown")
        label = title(page).inner_text()
        if labels and labels[-1] == label:
            return labels
        labels.append(label)


def point(page: Page, when: float, top: float) -> tuple[float, float]:
    """The place of a time in milliseconds on the canvas, if the page shows all of `server`."""
    box = page.locator("#canvas").bounding_box()
    assert box
    whole = (-0.1, 10.3)
    part = (when - whole[0]) / (whole[1] - whole[0])
    return box["x"] + GUTTER + part * (box["width"] - GUTTER - 8), box["y"] + top


def seen_range(page: Page) -> tuple[float, float]:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return float(page.locator("#from").input_value()), float(page.locator("#to").input_value())


def test_the_page_shows_what_was_recorded(page: Page) -> None:
    assert page.title().startswith("Timeline: ")
    expect(page.locator("#summary")).to_contain_text("11 events, 5 contexts, 3 variables, 10 ms")
    expect(count(page)).to_have_text("11")
    expect(rows(page)).to_have_count(11)
    expect(rows(page).nth(0)).to_contain_text("set locale = 'en' · MainThread · context 1, rows.py")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#details")).to_have_text(
        "Click a span, a missing value or the name of a context."
    )


def test_there_is_a_lane_for_each_context_below_the_one_it_was_copied_from(page: Page) -> None:
    assert lanes(page) == [
        "MainThread · context 1",
        "Task-2 · context 2",
        "Task-4 · context 4",
        "Task-3 · context 3",
        "worker · context 5",
    ]


def test_the_lanes_of_a_traced_program(traced_file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(traced_file)
    names = [label.split(" · ")[0] for label in lanes(page)]
    assert names[0] == "MainThread"
    requests = [f"{kind} {it}" for it in (1, 2, 3) for kind in ("request",)]
    assert [name for name in names if name.startswith("request")] == requests
    # The task that audits is below its request.
    for number, name in enumerate(("Ada", "Grace", "Alan"), 1):
        assert names[names.index(f"request {number}") + 1] == f"audit {name}"
    assert names[-1] == "render_0"
    page.locator("#missing").check()
    expect(count(page)).to_contain_text("3 of ")
    rows(page).first.click()
    expect(page.locator("#details")).to_contain_text("server.py:20 in render")
    rows(page).first.press("Escape")
    page.locator("#missing").uncheck()
    rows(page).filter(has_text="set user = 'Grace'").click()
    expect(page.locator("#details")).to_contain_text("Inherited by 1 context")
    page.locator("#details").get_by_role("button", name="audit Grace").click()
    expect(page.locator("#details")).to_contain_text("set user = 'Grace' · request 2")


def test_a_click_on_a_span_shows_its_details(page: Page) -> None:
    page.mouse.click(*point(page, 4, SECOND_CONTEXT + CONTEXT + VARIABLE / 2))
    expect(title(page)).to_have_text("user = 'Ada'")
    details = page.locator("#details")
    expect(details).to_contain_text("set user, at 1.000 ms")
    expect(details).to_contain_text("rows.py:16 in function")
    expect(details).to_contain_text("Inherited by 1 context")
    expect(details.get_by_role("button", name="Task-4 · context 4")).to_be_visible()
    expect(details).to_contain_text("Stack of the first event in this context")
    expect(page.locator("[aria-selected=true]")).to_contain_text("set user = 'Ada'")
    page.mouse.click(*point(page, 9.5, SECOND_CONTEXT + CONTEXT + VARIABLE / 2))
    expect(title(page)).to_have_text("Task-2 · context 2")


def test_a_span_is_drawn_from_its_set_to_its_end(page: Page) -> None:
    seen_range(page)
    picture = Image.open(BytesIO(page.screenshot()))

    def colour(when: float) -> Any:
        x, y = point(page, when, SECOND_CONTEXT + CONTEXT + VARIABLE + 3)
        return picture.getpixel((int(x), int(y)))

    # The scope of `tenant` in the second context is open from 2 to 9 ms.
    inside = {colour(when) for when in (2.2, 5.3, 8.8)}
    assert len(inside) == 1
    assert colour(1.5) not in inside
    assert colour(9.2) not in inside


def test_a_value_that_came_back_names_the_set(tmp_path: Path, open_page: Any) -> None:
    it = Rows()
    it.context(1)
    it.event("set", user, 1, text="1")
    it.event("set", user, 1, text="2")
    it.event("reset", user, 1, text="1")
    it.event("set", tenant, 1)
    page = open_page(write(tmp_path, it), "#event-2")
    expect(title(page)).to_have_text("user = 1")
    page.locator("#details").get_by_role("button", name="set user = 1").click()
    expect(page.locator("#details")).to_contain_text("set user, at 0.000 ms")
    page.locator("#details").get_by_role("button", name="set user = 2").click()
    expect(page.locator("#details")).to_contain_text("for1 ms")


def test_a_click_on_a_missing_value_shows_its_reason(page: Page) -> None:
    last = AXIS + 2 * THREAD + 4 * (CONTEXT + GAP) + 6 * VARIABLE + CONTEXT + VARIABLE / 2
    page.mouse.click(*point(page, 7, last))
    expect(title(page)).to_have_text("missing user")
    expect(page.locator("#details .reason")).to_have_text(REASON)


def test_a_value_that_was_not_set_before_is_missing_and_not_lost(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    it = Rows()
    it.context(1)
    it.event("missing", tenant, 1)
    it.event("set", user, 1)
    it.context(2, thread=2)
    it.event("missing", user, 2)
    it.event("set", tenant, 2)
    page = open_page(write(tmp_path, it))
    expect(page.locator("#rows .lost")).to_have_text(
        ["missing user · MainThread · context 2, " + PLACE]
    )
    page.locator("#canvas").press("m")
    page.locator("#canvas").press("m")
    assert page.evaluate("location.hash") == "#event-2"
    expect(page.locator("#details .reason.lost")).to_be_visible()
    page.locator("#missing").check()
    expect(rows(page)).to_have_count(2)
    rows(page).first.click()
    expect(page.locator("#details .reason:not(.lost)")).to_be_visible()


def test_a_click_on_a_name_shows_the_context(page: Page) -> None:
    box = page.locator("#canvas").bounding_box()
    page.mouse.click(box["x"] + 60, box["y"] + SECOND_CONTEXT + CONTEXT + VARIABLE * 2 + GAP + 10)
    expect(title(page)).to_have_text("Task-4 · context 4")
    details = page.locator("#details")
    expect(details.locator("dd").filter(has_text="Task-2 · context 2").first).to_be_visible()
    values = details.locator("h3", has_text="Values it was copied with").locator("+ ul li")
    expect(values).to_have_count(3)
    expect(values.nth(0)).to_contain_text("set locale = 'en' · MainThread")
    expect(values.nth(1)).to_contain_text("set user = 'Ada' · Task-2")
    expect(details).to_contain_text("then freed")
    details.get_by_role("button", name="Task-2 · context 2", exact=True).click()
    expect(details).to_contain_text("Contexts copied from it")


def test_an_event_in_a_scope_names_the_scope(page: Page) -> None:
    page.evaluate("location.hash = 'event-10'")
    expect(title(page)).to_have_text("drop")
    page.evaluate("location.hash = 'event-8'")
    scopes = page.locator("#details h3", has_text="In the scopes").locator("+ ul li")
    expect(scopes).to_have_text(["scope enter tenant = 'north' · Task-3 · context 3, " + PLACE])


def test_filters(page: Page) -> None:
    page.locator("#variable").select_option(label="tenant (4)")
    expect(count(page)).to_have_text("4 of 11")
    assert lanes(page) == ["Task-2 · context 2", "Task-3 · context 3"]
    page.locator("#task").fill("TASK-3")
    expect(count(page)).to_have_text("2 of 11")
    assert lanes(page) == ["Task-3 · context 3"]
    page.locator("#missing").check()
    expect(count(page)).to_have_text("0 of 11")
    expect(page.locator("#nothing")).to_be_visible()
    page.locator("#variable").select_option(label="all")
    page.locator("#task").fill("")
    expect(count(page)).to_have_text("1 of 11")
    assert lanes(page) == ["worker · context 5"]
    # The name of the thread finds its tasks, too.
    page.locator("#missing").uncheck()
    page.locator("#task").fill("mainthread")
    assert len(lanes(page)) == 4


def test_the_filter_shows_all_variables_of_a_name(tmp_path: Path, open_page: Any) -> None:
    it = Rows()
    it.context(1)
    other: ContextVar[Any] = ContextVar("user")
    for variable in (user, other, tenant):
        it.event("set", variable, 1)
    it.event("copy", None, 1)
    page = open_page(write(tmp_path, it))
    expect(page.locator("#variable option")).to_have_text(["all", "user (2)", "tenant (1)"])
    page.locator("#variable").select_option(label="user (2)")
    expect(rows(page)).to_have_count(2)
    page.locator("#variable").select_option(label="all")
    expect(rows(page)).to_have_count(4)


def test_the_range_of_time(page: Page) -> None:
    assert seen_range(page) == (0, 10.3)
    page.locator("#from").fill("2")
    page.locator("#from").press("Enter")
    page.locator("#to").fill("5")
    page.locator("#to").press("Enter")
    expect(count(page)).to_have_text("4 of 11")
    expect(rows(page).first).to_contain_text("2.000 ms")
    page.locator("#all").click()
    expect(count(page)).to_have_text("11")
    box = page.locator("#overview").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20, steps=4)
    page.mouse.up()
    start, end = seen_range(page)
    assert start == pytest.approx(5.1, abs=0.1)
    assert end == pytest.approx(7.7, abs=0.1)
    page.mouse.click(box["x"] + 10, box["y"] + 20)
    page.locator("#all").click()
    expect(count(page)).to_have_text("11")


def test_zooming(page: Page) -> None:
    page.locator("#in").click()
    expect(count(page)).to_have_text("5 of 11")
    page.locator("#out").click()
    expect(count(page)).to_have_text("11")
    # With the wheel, the time under the pointer stays where it is.
    page.mouse.move(*point(page, 3, 300))
    page.keyboard.down("Control")
    for _ in range(5):
        page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    expect(count(page)).to_have_text("1 of 11")
    start, end = seen_range(page)
    assert start < 3 < end
    assert end - start == pytest.approx(10.4 / 1.002**1000, rel=0.01)
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 4000)
    page.keyboard.up("Shift")
    assert seen_range(page)[0] > start


def test_dragging(page: Page) -> None:
    page.locator("#in").click()
    expect(count(page)).to_have_text("5 of 11")
    before = seen_range(page)
    x, y = point(page, 5, 400)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=5)
    page.mouse.up()
    after = seen_range(page)
    assert after[0] < before[0]
    assert after[1] - after[0] == pytest.approx(before[1] - before[0], abs=0.01)
    # A drag does not click.
    expect(title(page)).to_have_count(0)


def test_pinching(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    x, y = point(page, 5, 300)

    def touch(kind: str, *offsets: int) -> None:
        points = [{"x": x + offset, "y": y, "id": id} for id, offset in enumerate(offsets)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -50, 50)
    for offset in (70, 100, 150, 200):
        touch("touchMove", -offset, offset)
    touch("touchEnd")
    start, end = seen_range(page)
    assert end - start == pytest.approx(10.4 / 4, abs=0.3)
    assert (start + end) / 2 == pytest.approx(5.1, abs=0.3)


@pytest.mark.parametrize(
    ("keys", "address"),
    [
        ("ArrowRight", "#event-0"),
        ("ArrowRight ArrowRight ArrowRight", "#event-2"),
        ("End", "#event-10"),
        ("End ArrowLeft", "#event-9"),
        ("End ArrowRight", "#event-10"),
        ("End Home", "#event-0"),
        ("ArrowDown", "#context-1"),
        ("ArrowDown ArrowDown", "#context-2"),
        ("ArrowUp", "#context-5"),
        ("ArrowRight ArrowRight ArrowUp", "#context-1"),
        ("m", "#event-7"),
        ("m m", "#event-7"),
        ("m Escape", ""),
        ("Control+m", ""),
        ("x", ""),
    ],
)
def test_keys(page: Page, keys: str, address: str) -> None:
    page.locator("#canvas").focus()
    for key in keys.split():
        page.keyboard.press(key)
    assert page.evaluate("location.hash") == address


def test_keys_zoom_and_move(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.locator("#canvas").focus()
    page.keyboard.press("+")
    assert seen_range(page) == (2.5, 7.7)
    page.keyboard.press("d")
    assert seen_range(page) == (3.8, 9.0)
    page.keyboard.press("a")
    page.keyboard.press("-")
    assert seen_range(page) == (0, 10.3)
    page.keyboard.press("w")
    page.keyboard.press("0")
    assert seen_range(page) == (0, 10.3)


def test_keys_in_the_list_and_in_fields(page: Page) -> None:
    page.locator("#list").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("location.hash") == "#event-1"
    active = page.locator("#list").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("location.hash") == "#event-0"
    page.locator("#task").focus()
    page.keyboard.type("m")
    assert page.evaluate("location.hash") == "#event-0"


def test_the_address_has_the_selection(file: Path, open_page: Callable[..., Page]) -> None:
    expect(title(open_page(file, "#event-1"))).to_have_text("user = 'Ada'")
    expect(title(open_page(file, "#context-4"))).to_have_text("Task-4 · context 4")
    for wrong in ("#event-99", "#event-", "#context-0", "#event--1", "#x", "#__proto__"):
        expect(title(open_page(file, wrong))).to_have_count(0)


def test_assistive_technology_finds_the_events(page: Page) -> None:
    assert page.locator("#list").get_attribute("role") == "listbox"
    options = page.locator("#list").get_by_role("option").all()
    assert [it.get_attribute("aria-posinset") for it in options] == [*map(str, range(1, 12))]
    assert {it.get_attribute("aria-setsize") for it in options} == {"11"}
    assert page.locator("#details").get_attribute("aria-live") == "polite"
    label = page.locator("#canvas").get_attribute("aria-label")
    assert label == lanes_of("5 contexts")
    page.evaluate("location.hash = 'context-2'")
    for control in page.locator("button, select, input").all():
        assert control.get_attribute("aria-label") or (
            control.inner_text() or control.evaluate("it => it.labels.length")
        )


def test_a_full_recording(large: Page) -> None:
    expect(large.locator("#summary")).to_contain_text("65,536 events, 4,097 contexts, 3 variables")
    expect(count(large)).to_have_text("65,536")
    # Rows that are not in view are not elements.
    assert 10 < rows(large).count() < 60
    large.locator("#canvas").focus()
    large.keyboard.press("End")
    expect(large.locator("[aria-selected=true]")).to_be_in_viewport()
    expect(large.locator("[aria-selected=true]")).to_contain_text("65535.000 ms")
    large.keyboard.press("Home")
    expect(large.locator("[aria-selected=true]")).to_contain_text("0.000 ms")
    large.locator("#variable").select_option(label="tenant (16,384)")
    expect(count(large)).to_have_text("16,384 of 65,536")
    large.locator("#task").fill("worker-3")
    expect(count(large)).to_have_text("4,096 of 65,536")
    large.locator("#missing").check()
    large.keyboard.press("m")
    expect(count(large)).to_contain_text(" of 65,536")


def test_lanes_without_anything_in_the_range_are_left_out_of_a_full_recording(
    large: Page,
) -> None:
    expect(large.locator("#canvas")).to_have_attribute("aria-label", lanes_of("4,096 contexts"))
    large.locator("#from").fill("50000")
    large.locator("#from").press("Enter")
    large.locator("#to").fill("50100")
    large.locator("#to").press("Enter")
    expect(count(large)).to_have_text("101 of 65,536")
    expect(large.locator("#canvas")).to_have_attribute("aria-label", lanes_of("33 contexts"))
    rows(large).nth(3).click()
    large.locator("#all").click()
    expect(large.locator("#canvas")).to_have_attribute("aria-label", lanes_of("4,096 contexts"))


def test_the_wheel_scrolls_the_lanes(large: Page) -> None:
    large.mouse.move(400, 400)
    large.mouse.wheel(0, 500)
    while not large.evaluate("document.getElementById('lanes').scrollTop"):
        large.wait_for_timeout(10)
    assert seen_range(large)[0] == 0


def test_lost_events_are_mentioned(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    it = Rows(first=5)
    it.context(1)
    it.event("set", user, 1)
    page = open_page(write(tmp_path, it))
    expect(page.locator("#notice")).to_have_text(
        "5 older events left out: there was no room for more."
    )


def test_an_empty_timeline(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(write(tmp_path, Rows()))
    expect(page.locator("#nothing")).to_be_visible()
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "End", "m", "+", "0"):
        page.locator("#canvas").press(key)
    expect(count(page)).to_have_text("0")


def test_text_of_the_program_is_harmless(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\ud800\0"
    it = Rows()
    it.context(1, thread_name=evil, task=evil)
    it.event("set", user, 1, text=evil)
    page = open_page(write(tmp_path, it), "#event-0")
    expect(title(page)).to_contain_text("</script><script>alert(1)")
    assert page.locator("img").count() == 0
    assert lanes(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("device", "width", "height"), [("desktop", 1280, 800), ("phone", 390, 844)]
)
@pytest.mark.parametrize("name", ["requests", "full"])
def test_looks(
    traced_file: Path,
    large_file: Path,
    open_page: Callable[..., Page],
    screenshot: Callable[[Page, str], None],
    name: str,
    device: str,
    width: int,
    height: int,
    scheme: str,
) -> None:
    """The page fits the width, panes are beside or below one another, colours follow the scheme."""
    page = open_page(traced_file if name == "requests" else large_file, "", width, height, scheme)
    if name == "requests":
        page.locator("#task").fill("")
        row = rows(page).filter(has_text="set user = 'Grace'")
        row.click()
        page.evaluate("scrollTo(0, 0)")
    else:
        page.locator("#from").fill("40000")
        page.locator("#from").press("Enter")
        page.locator("#to").fill("40040")
        page.locator("#to").press("Enter")
        expect(count(page)).to_have_text("41 of 65,536")
        expect(page.locator("#canvas")).to_have_attribute("aria-label", lanes_of("46 contexts"))
        page.locator("#canvas").press("m")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    chart = page.locator("#chart").bounding_box()
    events = page.locator("#events").bounding_box()
    if device == "desktop":
        assert page.evaluate("document.documentElement.scrollHeight") <= height
        assert events["x"] > chart["x"] + chart["width"]
    else:
        assert events["y"] > chart["y"] + chart["height"]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == (scheme == "dark")
    screenshot(page, f"timeline-{name}-{device}-{scheme}")
