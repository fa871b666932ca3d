"""Tools for releases; RELEASING.md says how to make one."""
