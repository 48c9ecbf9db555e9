"""Configuration of topics, brokers and groups."""
