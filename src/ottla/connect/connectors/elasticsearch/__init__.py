"""Topics into Elasticsearch and OpenSearch, with the settings of Confluent's connector."""
