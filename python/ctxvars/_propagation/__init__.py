"""Carrying a context to other code: snapshots, tasks, threads and thread pools."""
