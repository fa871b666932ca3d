"""The data of the page that `explain-class` writes: which steps, instructions and texts it has."""

from __future__ import annotations

from typing import Any

import pytest

from ctxvars._pages.class_creation import (
    FIRST_STEPS,
    LAST_STEPS,
    LONGEST,
    MOST_INSTRUCTIONS,
    MOST_LINES,
    MOST_NAMES,
    MOST_STEPS,
    class_page,
    page_data,
)
from ctxvars.classes import trace
from ctxvars.classes._words import words
from tests.support.pages.reading import POINT, class_named, namespaces, read_page
from tests.support.shapes import SHAPES


def data_of(source: str, **options: Any) -> Any:
    """Return the data of a page, as its script reads them."""
    traced = trace(source, filename="program.py")
    page = class_page("program.py", source, traced.classes, **options)
    assert page.isascii()
    data = read_page(page).data
    assert data == read_back(page_data("program.py", source, traced.classes, **options))
    return data


def read_back(data: Any) -> Any:
    """Return data with lists in place of tuples, as JSON has them."""
    if isinstance(data, dict):
        return {name: read_back(value) for name, value in data.items()}
    return [read_back(it) for it in data] if isinstance(data, list | tuple) else data


def steps_of(name: str, source: str) -> Any:
    return class_named(data_of(source), name)["steps"]


def step_with(text: str, steps: Any) -> Any:
    return next(step for step in steps if text in step["text"])


@pytest.fixture(scope="module")
def point() -> Any:
    return class_named(data_of(POINT.read_text()), "Point")


def test_phases_in_order(point: Any) -> None:
    phases = list(dict.fromkeys(step["phase"] for step in point["steps"]))
    assert phases == ["Before the body", "Body", "Call of the metaclass", "Result"]


def test_each_step_has_a_text_and_a_reason(point: Any) -> None:
    for step in [*point["steps"], *steps_of("Point", SHAPES), *steps_of("Inner", NESTED)]:
        assert step["text"]
        assert step["reason"].endswith(".")


NESTED = "class Inner:\n    class Child: pass\n    raise KeyError\n"


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("bases: Table", []),
        ("namespace: Namespace with key", [["Meta.__prepare__", 17]]),
        ("call of Meta", [["Meta.__new__", 21], ["Meta.__init__", 24]]),
        ("Column().__set_name__(..., 'x')", [["Column.__set_name__", 5]]),
        ("Table.__init_subclass__(schema='geometry')", [["Table.__init_subclass__", 29]]),
    ],
)
def test_methods_are_shown_where_they_are_called(point: Any, text: str, calls: Any) -> None:
    assert step_with(text, point["steps"])["calls"] == calls


def test_only_methods_of_the_file_have_a_place() -> None:
    source = "import enum\nclass E(enum.Enum):\n    A = 1\n"
    assert not any(step["calls"] for step in steps_of("E", source))


def test_methods_may_be_any_objects() -> None:
    source = """
class Odd:
    def __get__(self, instance, owner): return lambda *arguments, **keywords: {}
    def __getattr__(self, name): raise RuntimeError
class Meta(type):
    __prepare__ = Odd()
class C(metaclass=Meta): pass
"""
    assert steps_of("C", source)[-1]["text"] == "class: C"


def test_the_shown_namespace_is_the_real_one() -> None:
    for source in (POINT.read_text(), SHAPES):
        traced = trace(source, filename="program.py")["Point"]
        shown = class_named(data_of(source), "Point")["steps"]
        real = next(traced.own("call")).value
        expected = {name: words(value) for name, value in dict.items(real)}
        assert namespaces(shown)[-1] == expected


def test_each_step_shows_what_it_changes(point: Any) -> None:
    def changes(text: str) -> Any:
        return step_with(text, point["steps"])["changes"]

    assert changes("namespace:") == [["key", "'id'"]]
    assert changes("key = 'y'") == [["key", "'y'"]]
    assert changes("del key") == [["key", None]]
    assert changes("call of Meta") == []


def test_the_instructions_of_each_step_are_adjacent(point: Any) -> None:
    spans = [step["span"] for step in point["steps"] if step["span"]]
    place = 0
    repeated = []
    for start, end in spans:
        if end <= place:
            repeated.append(end - start)
        else:
            assert start == place
            place = end
    assert place == len(point["instructions"])
    # The loop stores two names again.
    assert repeated == [1, 1]


def test_a_nested_class_is_linked() -> None:
    data = data_of("class A:\n    class B:\n        class C: pass\nclass D: pass\n")
    assert [(each["name"], each["parent"]) for each in data["classes"]] == [
        *[("A", None), ("A.B", 0), ("A.B.C", 1), ("D", None)]
    ]
    children = [[it["child"] for it in each["steps"]] for each in data["classes"]]
    assert [[it for it in each if it is not None] for each in children] == [[1], [2], [], []]


@pytest.mark.parametrize(
    ("source", "line", "opcode"),
    [
        ("class C:\n    x = 1\n    y = (\n        1 / 0)\n", 4, "BINARY_OP"),
        ("class C:\n    x = 1\n    def f(): 1 / 0\n    f()\n", 4, "CALL"),
    ],
)
def test_an_exception_is_shown_where_the_body_raised_it(
    source: str, line: int, opcode: str
) -> None:
    found = class_named(data_of(source), "C")
    last = found["steps"][-1]
    assert (last["line"], last["phase"]) == (line, "Body")
    assert found["instructions"][last["span"][1] - 1][2].split()[0] == opcode


def test_an_exception_before_the_body() -> None:
    meta = "class Meta(type):\n    def __prepare__(name, bases): pass\n"
    last = steps_of("C", f"{meta}class C(metaclass=Meta): pass")[-1]
    assert (last["line"], last["phase"], last["span"]) == (3, "Before the body", None)


HOSTILE = r'''
"""</script><script>alert(1)</script><!-- <script>"""  # \u202e
class Evil:
    def __init__(self, text): self.text = text
    def __repr__(self): return self.text
class Raises:
    def __repr__(self): raise RuntimeError("</script>")
class C:
    a = Evil("</script><img onerror=x>")
    b = Evil("'\"`${1}&lt;")
    c = Evil("\0\x1b\n\u2028")
    d = Evil("\ud800\u202e")
    e = Raises()
    f = Evil("x" * 100_000)
    g = "y" * 100_000
    locals()["<b>\0\ud800"] = 1
    locals()[Evil("key")] = 2
    locals()["n" * 100_000] = 3
    locals()["__proto__"] = 4
'''


def test_any_text_gets_into_the_page_unchanged_or_escaped() -> None:
    source = HOSTILE.replace(r"\u202e\n", "\u202e\n")
    found = namespaces(steps_of("C", source))[-1]
    assert found["a"] == "</script><img onerror=x>"
    assert found["b"] == "'\"`${1}&lt;"
    assert found["c"] == r"\x00\x1b\n\u2028"
    assert found["d"] == r"\ud800\u202e"
    assert found["e"] == "<__main__.Raises object>"
    assert found["f"] == "x" * 37 + "..."
    assert len(found["g"]) == 40
    assert found[r"<b>\x00\ud800"] == "1"
    assert found["key"] == "2"
    assert found["n" * LONGEST + "..."] == "3"
    assert found["__proto__"] == "4"


def test_the_steps_of_a_loop_are_bounded() -> None:
    source = "class C:\n    first = 1\n    for i in range(10_000):\n        x = i\n    del first\n"
    found = class_named(data_of(source), "C")
    steps = found["steps"]
    left_out = len(trace(source)["C"].steps) - FIRST_STEPS - LAST_STEPS
    assert len(steps) == FIRST_STEPS + 1 + LAST_STEPS
    assert steps[FIRST_STEPS]["text"] == f"{left_out:,} steps are left out"
    assert found["notices"] == [f"{left_out:,} steps of this class are left out."]


def test_the_namespace_has_the_results_of_steps_that_are_left_out() -> None:
    source = """
class C:
    deleted = 1
    for i in range(5_000):
        x = i
        if i == 3_000:
            kept = x
            del deleted
"""
    steps = steps_of("C", source)
    before, after = namespaces(steps)[FIRST_STEPS - 1 : FIRST_STEPS + 1]
    assert "deleted" in before
    assert "kept" not in before
    assert "deleted" not in after
    assert after["kept"] == "3000"
    assert int(after["i"]) - int(after["x"]) in (0, 1)


def test_names_that_are_left_out_may_be_any_objects() -> None:
    source = """
class Name:
    __hash__ = None
    def __format__(self, spec): return 1 / 0
    def __repr__(self): return "name"
class Names(dict):
    def __setitem__(self, name, value):
        if type(name) is not Name: super().__setitem__(name, value)
class Meta(type):
    def __prepare__(name, bases): return Names()
class C(metaclass=Meta):
    for i in range(3000):
        locals()[Name()] = i
"""
    assert namespaces(steps_of("C", source))[-1]["name"] == "2999"


def test_the_names_of_a_step_are_bounded() -> None:
    source = "class C:\n    for i in range(9_000):\n        locals()[f'x{i}'] = i\n"
    steps = steps_of("C", source)
    assert len(steps[FIRST_STEPS]["changes"]) == MOST_NAMES
    assert "names are left out." in steps[FIRST_STEPS]["reason"]


def test_the_steps_of_all_classes_are_bounded() -> None:
    source = "for n in range(40):\n    class C:\n        for i in range(1000): pass\n"
    data = data_of(source)
    assert sum(len(each["steps"]) for each in data["classes"]) <= MOST_STEPS
    left_out = 40 - len(data["classes"])
    (notice,) = data["notices"]
    assert notice.startswith(f"{left_out} of 40 classes are left out, from C in line 2 on.")


def test_a_class_of_three_thousand_lines() -> None:
    lines = "".join(f"    name{line} = [{line}, 'text']\n" for line in range(3000))
    found = class_named(data_of(f"class C:\n{lines}"), "C")
    assert found["notices"] == []
    # The names of the last steps need EXTENDED_ARG.
    (last,) = (step for step in found["steps"] if step["text"].startswith("name2999 ="))
    assert last["changes"] == [["name2999", "[2999, 'text']"]]
    assert last["line"] == 3001
    assert found["instructions"][last["span"][1] - 1][2] == "STORE_NAME name2999"


def test_source_and_bytecode_are_bounded() -> None:
    source = "class C:\n" + "    x = 1\n" * (MOST_LINES + 5)
    data = data_of(source)
    assert len(data["lines"]) == MOST_LINES
    assert data["notices"] == [f"The source is shown up to line {MOST_LINES}."]
    (found,) = data["classes"]
    assert len(found["instructions"]) == MOST_INSTRUCTIONS
    assert "instructions are left out." in found["notices"][1]
    assert len(data_of("class C:\n    x = '" + "y" * 100_000 + "'\n")["lines"][1][-1][1]) < 3000
