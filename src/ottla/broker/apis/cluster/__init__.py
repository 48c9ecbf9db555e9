"""Brokers, features and the placement of replicas."""
