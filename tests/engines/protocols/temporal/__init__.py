"""Workflows, and the variables that they share with their worker."""
