"""A broker inside a test process."""
