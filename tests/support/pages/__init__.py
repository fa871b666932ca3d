"""Reading the pages that commands write, and showing them in a browser."""
