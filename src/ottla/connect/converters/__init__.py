"""Keys, values and headers as bytes, in the formats of Kafka's and Confluent's converters."""
