"""Debezium's single message transforms: what its events become on the way. Pure."""
