"""The REST face of a worker: Kafka Connect's."""
