"""The clients side by side, on Ottla and on Kafka: `python -m bench clients`."""
