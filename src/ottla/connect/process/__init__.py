"""What runs inside a worker's processes: a connector, a task, or whoever answers questions about plugins."""
