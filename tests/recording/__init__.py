"""Timelines: recording, reading, saving."""
