"""Connect: systems in and out of topics, in the model and with the tools of Kafka Connect."""
