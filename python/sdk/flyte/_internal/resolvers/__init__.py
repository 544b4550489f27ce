"""How a command names a task."""
