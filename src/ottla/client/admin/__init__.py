"""Kafka's admin client."""
