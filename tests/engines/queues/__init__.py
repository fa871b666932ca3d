"""Job queues, with workers in other processes."""
