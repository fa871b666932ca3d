"""`isolated`: functions, generators and coroutines with a context of their own."""
