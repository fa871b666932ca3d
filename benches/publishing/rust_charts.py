"""The charts of the Rust benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from publishing.charts import CHARTS, by_size, bytes_per_entry, dots
from publishing.results import Result
from publishing.rust_results import BYTES, DERIVING, KINDS, LOOKUPS, MILLION, WHOLE


def with_keys(*operations: str) -> list[str]:
    return [f"{operation}, {kind} keys" for kind in KINDS for operation in operations]


def whole_maps(found: Sequence[Result], caption: str) -> Figure:
    """Operations that visit a whole map, or would if maps shared no nodes."""
    operations = with_keys(*WHOLE)
    shown = [each for each in found if each.operation in operations and each.size == MILLION]
    return dots("Operations on whole maps of a million entries", shown, caption, 1e-7)


def memory(found: Sequence[Result], caption: str) -> Figure:
    shown = [each for each in found if each.operation == BYTES]
    return bytes_per_entry("Memory of a map from u64 to u64, all included", shown, caption)


def contexts(found: Sequence[Result], caption: str) -> Figure:
    return dots("Context variables, by the number of variables", found, caption, 1e-10)


CHARTS["rust-map"] = {
    "rust-map-lookups": by_size("Lookups", with_keys(*LOOKUPS), 2),
    "rust-map-derived": by_size("Deriving a map by one change", with_keys(*DERIVING), 3),
    "rust-map-whole": whole_maps,
    "rust-map-memory": memory,
}
CHARTS["rust-context"] = {"rust-context": contexts}
