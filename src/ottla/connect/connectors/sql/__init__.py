"""Relational tables in and out over SQLAlchemy, with the settings of Confluent's JDBC connectors."""
