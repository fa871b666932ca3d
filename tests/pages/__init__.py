"""Pages that commands write, in a real browser."""
