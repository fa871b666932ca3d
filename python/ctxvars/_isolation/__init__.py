"""`isolated`: functions, generators and coroutines with their own context."""
