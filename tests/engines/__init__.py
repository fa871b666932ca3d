"""Portable variables through real engines: brokers, workers and clusters, all on this machine."""
