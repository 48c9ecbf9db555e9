"""Group coordination: pure state machines that decide and replay."""
