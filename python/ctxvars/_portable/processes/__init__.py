"""Calls in other processes: pickles, pools, processes and environments."""
