"""The DSL: streams and tables, and what is done with them, in Kafka Streams' terms."""
