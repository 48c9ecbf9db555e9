"""`python -m bench connect`: Ottla's Connect beside Kafka's, on the same broker."""
