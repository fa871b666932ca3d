"""Stores the results of benchmarks, and writes pages, charts and tables from them."""
