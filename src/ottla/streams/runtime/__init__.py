"""An application at work against a Kafka: threads, tasks, their assignment, restoring, committing."""
