"""A schema registry with Confluent's API, on any Kafka-compatible cluster."""
