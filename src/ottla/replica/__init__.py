"""The partitions that this broker hosts: their logs, who waits for them, and their upkeep."""
