"""Apache Kafka beside Ottla: fetched from Maven Central into a cache folder, never committed."""
