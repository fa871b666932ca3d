"""Differences between maps, and merging: the Python part of `Map`, which is compiled."""
