"""A cluster of three Ottla brokers beside one of Apache Kafka, on this host, one of them up at a time."""
