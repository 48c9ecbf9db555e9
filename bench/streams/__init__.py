"""`python -m bench streams`: Ottla's streams beside Kafka Streams, Quix Streams and Faust."""
