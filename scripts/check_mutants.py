"""Break each check of setting in place and of observers, one at a time, and see that a test fails.

    python -m scripts.check_mutants [PART OF A NAME ...]

Works on a copy of the tree, into which all mutants are built at once; an environment variable says
which one is active. A mutant is killed if a test fails, crashes, or does not end. One that survives
shows that a test is missing, or that its check is redundant.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
# The limit for the tests of one mutant, in seconds. The tests of the original take about 60.
LIMIT = 300
LAYOUT = "src/python/context/native_layout/mod.rs"
PATH = "src/python/context/native_layout/path.rs"
POOL = "src/python/context/native_layout/pool.rs"
ROOT_VARIABLE = "src/python/context/root_variable.rs"
CELL = "src/python/context/cell.rs"
HEAP = "src/python/map/py_heap/mod.rs"
OBSERVATION = "src/python/observation/"


class Edit(NamedTuple):
    """Replaces a piece of text, which occurs once, by code with a `mutant!` or two."""

    file: str
    old: str
    new: str


# The verification at import notices a wrong owner. So that the tests have to notice it as well, the
# first mutants take effect when the verification is over.
EDITS = [
    Edit(
        LAYOUT,
        "            && may_enter(hamt)\n",
        """            && (may_enter(hamt)
                || (mutant!("owner: the count of the HAMT") && is_active())
                || mutant!("owner: the count of the HAMT, noticed at import"))
""",
    ),
    Edit(
        LAYOUT,
        "&& (!is_owned || !has_weak_references());",
        """&& (!is_owned
                || (mutant!("owner: weak references to the HAMT") && is_active())
                || !has_weak_references());""",
    ),
    Edit(
        LAYOUT,
        "if may_enter(node) {",
        'if may_enter(node) || (mutant!("owner: the counts of nodes") && is_active()) {',
    ),
    Edit(
        LAYOUT,
        "if !may_enter(value) =>",
        'if !may_enter(value) && !(mutant!("owner: the count of the cell") && is_active()) =>',
    ),
    Edit(
        CELL,
        "bindings.root().is_none_or(|root| !root.tag().is_weakly_referenced())",
        """mutant!("owner: weak references to the map, edit")
                || bindings.root().is_none_or(|root| !root.tag().is_weakly_referenced())""",
    ),
    Edit(
        HEAP,
        "&& (!node.as_ref().is_root() || !tag_of(node)",
        """&& (!node.as_ref().is_root()
                    || mutant!("owner: weak references to the map, replacement")
                    || !tag_of(node)""",
    ),
    Edit(
        "src/map/node/leaf_edit.rs",
        "if !self.is_unique() {\n            return Err(value);",
        'if !mutant!("node: a shared leaf") && !self.is_unique() {\n            return Err(value);',
    ),
    Edit(
        "src/map/node/branch_mut.rs",
        "(self.header().kind.is_branch() && self.is_unique())",
        """(self.header().kind.is_branch()
            && (mutant!("node: a shared branch") || self.is_unique()))""",
    ),
    Edit(
        "src/map/edit/in_place.rs",
        "&& probe.matches(&leaf.entries[index].key, || leaf.lows[index] == hash.low)?",
        """&& (mutant!("place: the variable at the place")
            || probe.matches(&leaf.entries[index].key, || leaf.lows[index] == hash.low)?)""",
    ),
    Edit(
        "src/python/context/variable/mod.rs",
        "if this.shape.get() == cell.shape() {",
        """if this.shape.get() == cell.shape()
                || (mutant!("place: the shape") && this.shape.get() != Version::UNUSED)
            {""",
    ),
    Edit(
        LAYOUT,
        "within.is_some_and(|it| !ptr::eq",
        'within.is_some_and(|it| !mutant!("token: the context, replacement") && !ptr::eq',
    ),
    Edit(
        ROOT_VARIABLE,
        "if !native_layout::is_current(&mark.native) {\n                return Ok(false);",
        """if !mutant!("token: the context, edit") && !native_layout::is_current(&mark.native) {
                return Ok(false);""",
    ),
    Edit(
        LAYOUT,
        """let is_right = read::<u64>(root, LAYOUT.variable_version)
            == read::<u64>(thread, LAYOUT.thread_version)
""",
        """let is_right = (mutant!("cache: the number of the current context")
            || read::<u64>(root, LAYOUT.variable_version)
                == read::<u64>(thread, LAYOUT.thread_version))
""",
    ),
    Edit(
        LAYOUT,
        "&& read::<u64>(root, LAYOUT.variable_thread) == read::<u64>(thread, LAYOUT.thread_id)\n",
        """&& (mutant!("cache: the thread")
                || read::<u64>(root, LAYOUT.variable_thread)
                    == read::<u64>(thread, LAYOUT.thread_id))
""",
    ),
    Edit(
        PATH,
        "            cache(slot, value.as_ptr());\n            Some((self.context",
        """            if !mutant!("cache: renewed with the HAMT") {
                cache(slot, value.as_ptr());
            }
            Some((self.context""",
    ),
    Edit(
        HEAP,
        "*self.shape_or_hash.get_mut() = version.number();",
        """*self.shape_or_hash.get_mut() =
            if mutant!("shape: renewed by an edit") { 1 } else { version.number() };""",
    ),
    Edit(
        CELL,
        """        fields.shape.set(shape_of(&bindings));
        fields.bindings.set(bindings);
        result
""",
        """        if !mutant!("shape: renewed in the cell") {
            fields.shape.set(shape_of(&bindings));
        }
        fields.bindings.set(bindings);
        result
""",
    ),
    Edit(
        "src/context/bindings.rs",
        "tag.set_version_in_place(H::next_version());",
        """if !mutant!("version: renewed by a replacement") {
                        tag.set_version_in_place(H::next_version());
                    }""",
    ),
    Edit(
        POOL,
        "        && is_only_reference(context)\n",
        '        && (mutant!("pool: the count") || is_only_reference(context))\n',
    ),
    Edit(
        POOL,
        "            read::<c_int>(context.as_ptr(), LAYOUT.context_entered) == 0\n",
        """            (mutant!("pool: whether it is entered")
                || read::<c_int>(context.as_ptr(), LAYOUT.context_entered) == 0)
""",
    ),
    Edit(
        POOL,
        "&& read::<RawObject>(context.as_ptr(), LAYOUT.context_weak_references).is_null()\n",
        """&& (mutant!("pool: weak references")
                    || read::<RawObject>(context.as_ptr(), LAYOUT.context_weak_references)
                        .is_null())
""",
    ),
    Edit(
        POOL,
        "let is_empty = is_unseen(context) && ptr::eq(variables, empty);",
        """let is_empty = (mutant!("pool: kept by a finaliser") || is_unseen(context))
            && (mutant!("pool: set by a finaliser") || ptr::eq(variables, empty));""",
    ),
    Edit(
        "src/python/context/context.rs",
        "            if WITH_NATIVE.has_room() {\n                return",
        """            if mutant!("pool: the room that is left") || WITH_NATIVE.has_room() {
                return""",
    ),
    Edit(
        POOL,
        "ffi::PyObject_GC_UnTrack(context.as_ptr().cast());\n        }\n        is_empty",
        """if !mutant!("pool: unknown to the collector") {
                ffi::PyObject_GC_UnTrack(context.as_ptr().cast());
            }
        }
        is_empty""",
    ),
    Edit(
        "src/python/context/context.rs",
        "        if !is_native_hidden.get() {\n",
        """        if mutant!("pool: the values of a hidden context") || !is_native_hidden.get() {
""",
    ),
    Edit(
        "src/python/context/context.rs",
        "        if is_native_hidden.replace(false) {\n",
        """        if !mutant!("pool: hidden from other code") && is_native_hidden.replace(false) {
""",
    ),
    Edit(
        PATH,
        "if !is_unchanged {\n",
        'if !mutant!("path: the HAMT has changed") && !is_unchanged {\n',
    ),
]
# Their tests are in tests/observation and tests/contextvars/test_weak.py.
OBSERVED = [
    Edit(
        OBSERVATION + "mod.rs",
        "Some((variable.clone(), quietly(variable.get_current())?))",
        """Some((
                variable.clone(),
                quietly(variable.get_current())?.filter(|_| !mutant!("observed: old values kept")),
            ))""",
    ),
    Edit(
        OBSERVATION + "contexts.rs",
        "row.last == version && (",
        '(mutant!("context: its version") || row.last == version) && (',
    ),
    Edit(
        OBSERVATION + "contexts.rs",
        "(version != Version::EMPTY || is_same_thread)",
        """(mutant!("context: the thread of empty ones")
                || version != Version::EMPTY
                || is_same_thread)""",
    ),
    Edit(
        OBSERVATION + "contexts.rs",
        "if before != Version::EMPTY || !context.is_of_thread {",
        """if mutant!("context: the first of a thread")
            || before != Version::EMPTY
            || !(mutant!("context: entered") || context.is_of_thread)
        {""",
    ),
    Edit(
        OBSERVATION + "contexts.rs",
        "self.first = old.number + 1;",
        'self.first = old.number + u32::from(!mutant!("context: the first row"));',
    ),
    Edit(
        OBSERVATION + "recorder.rs",
        "let first = recorder.count - copies.len() as u64;",
        """let lost = recorder.count - copies.len() as u64;
        let first = if mutant!("ring: the number of the first event") { 0 } else { lost };""",
    ),
    Edit(
        OBSERVATION + "recorder.rs",
        "self.next = (place + 1) % self.events.len();",
        'self.next = (place + usize::from(!mutant!("ring: its end"))) % self.events.len();',
    ),
    Edit(
        OBSERVATION + "recorder.rs",
        "Err(ErrorSet) if !Exception::Any.is_set() => return,",
        """Err(ErrorSet) if !mutant!("hook: an interrupt") && !Exception::Any.is_set() => {
            return;
        }""",
    ),
    Edit(
        OBSERVATION + "mod.rs",
        "&& is_only_reference(native) {",
        '&& (mutant!("drop: the last owner") || is_only_reference(native)) {',
    ),
    Edit(
        OBSERVATION + "watch.rs",
        "if quietly(watched.contains(variable)) != Some(true) {",
        """if !mutant!("watch: the variables")
            && quietly(watched.contains(variable)) != Some(true)
        {""",
    ),
    Edit(
        OBSERVATION + "watch.rs",
        "    saved.restore();\n",
        '    if !mutant!("watch: the exception of the body") {\n        saved.restore();\n    }\n',
    ),
    Edit(
        OBSERVATION + "place.rs",
        "if !is_task {",
        'if !mutant!("place: the type of the task") && !is_task {',
    ),
    Edit(
        "src/python/interpreter/protocols.rs",
        "let is_text = self.is_exact_text() ||",
        """let is_text = self.is_exact_text()
                || (mutant!("text: the type of the value") && self.is_text())
                ||""",
    ),
    Edit(
        "src/python/context/variable/mod.rs",
        "if IS_CACHED && !self.fields().is_weak {",
        'if IS_CACHED && (mutant!("weak: no cache") || !self.fields().is_weak) {',
    ),
    Edit(
        "src/python/context/variable/mod.rs",
        "if this.is_weak { weak::referent(value) }",
        'if this.is_weak && !mutant!("weak: the referent") { weak::referent(value) }',
    ),
]
PATTERN = re.compile(r'mutant!\("(.*?)"\)')
MUTANTS = [name for edit in EDITS + OBSERVED for name in PATTERN.findall(edit.new)]
# Checks that other facts imply today. Their mutants may survive.
REDUNDANT = {
    # The thread, or the context that was entered next, has a reference to it.
    "pool: whether it is entered",
    # No code runs between reading the path and replacing the HAMT.
    "path: the HAMT has changed",
}
# Says which mutant is active. A release build would leave the code of constants out.
SWITCH = """

/// Whether a mutant of `scripts/check_mutants.py` is active.
pub(crate) fn is_mutant(number: usize) -> bool {
    static ACTIVE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *ACTIVE.get_or_init(|| {
        std::env::var("CTXVARS_MUTANT").ok().and_then(|it| it.parse().ok()).unwrap_or(0)
    }) == number
}
"""


def mutate(tree: Path) -> None:
    """Put all mutants into the source, each with the number of its name."""

    def call(name: re.Match[str]) -> str:
        return f"crate::is_mutant({MUTANTS.index(name[1]) + 1})"

    for edit in EDITS + OBSERVED:
        file = tree / edit.file
        text = file.read_text()
        if text.count(edit.old) != 1:
            found = text.count(edit.old)
            raise SystemExit(f"this occurs {found} times in {edit.file}:\n{edit.old}")
        file.write_text(text.replace(edit.old, PATTERN.sub(call, edit.new)))
    with (tree / "src" / "lib.rs").open("a") as file:
        file.write(SWITCH)


def copied(target: Path) -> None:
    """Copy what git knows of the tree, and new files."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def build(tree: Path) -> None:
    """Build the extension of the tree, in a directory that all runs share."""
    directory = ROOT / "target" / "mutants"
    environment = {
        **os.environ,
        "PYO3_PYTHON": sys.executable,
        "CARGO_TARGET_DIR": str(directory),
        "CARGO_PROFILE_RELEASE_LTO": "off",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
        "CARGO_INCREMENTAL": "1",
        "RUSTFLAGS": "-Awarnings",
    }
    command = ["cargo", "rustc", "--release", "--quiet", "--features", "python", "--lib"]
    subprocess.run([*command, "--crate-type", "cdylib"], cwd=tree, env=environment, check=True)
    built = next((directory / "release").glob("*ctxvars.[sd]*"))
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    installed = tree / "python" / "ctxvars" / f"_core{suffix}"
    installed.unlink(missing_ok=True)
    shutil.copy2(built, installed)


def failing_test(tree: Path, number: int) -> str | None:
    """Run the tests with a mutant; return the first one that failed."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "python"), "CTXVARS_MUTANT": str(number)}
    pytest = [sys.executable, "-X", "faulthandler", "-m", "pytest", "-x", "-q", "--tb=no"]
    # The quick ones first.
    names = ["caches", "ownership", "pool", "hidden", "reentry", "random", "verification"]
    files = [f"tests/in_place/test_{name}.py" for name in names]
    of_observers = [
        "tests/observation/test_recorder.py",
        "tests/observation/test_missing_hook.py",
        "tests/observation/test_watch_hook.py",
        "tests/contextvars/test_weak.py",
    ]
    if any(f'"{MUTANTS[number - 1]}"' in edit.new for edit in OBSERVED) or number == 0:
        files = of_observers + (files if number == 0 else [])
    try:
        done = subprocess.run(
            [*pytest, *files],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "no end"
    if done.returncode == 0:
        return None
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED", "ERROR")):
            return line.split(" - ")[0].partition("::")[2] or line
    return f"exit status {done.returncode}"


def main(parts: list[str]) -> int:
    chosen = [it for it in MUTANTS if not parts or any(part in it for part in parts)]
    survivors = []
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        copied(tree)
        mutate(tree)
        build(tree)
        for number, name in enumerate(["(none)", *chosen]):
            start = time.monotonic()
            killer = failing_test(tree, MUTANTS.index(name) + 1 if number else 0)
            seconds = time.monotonic() - start
            if number == 0 and killer is not None:
                raise SystemExit(f"a test fails without a mutant: {killer}")
            if number and killer is None:
                survivors.append(name)
            outcome = killer or ("all tests pass" if number == 0 else "SURVIVES")
            print(f"{number:2}/{len(chosen)} {seconds:4.0f} s  {name:50} {outcome}", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants are killed")
    if expected := sorted({*survivors} & REDUNDANT):
        print(f"implied by other facts: {', '.join(expected)}")
    return 1 if {*survivors} - REDUNDANT else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
