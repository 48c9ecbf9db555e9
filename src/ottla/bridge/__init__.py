"""An HTTP bridge with the API of Strimzi's, on any Kafka cluster."""
