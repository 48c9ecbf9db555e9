"""Single message transforms and predicates: Kafka's, under its names (`catalogue.py`), and Python's."""
