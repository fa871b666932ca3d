"""Recordings for tests: rows as the recorder returns them, made by hand."""
