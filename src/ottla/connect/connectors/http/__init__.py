"""HTTP in and out, with the settings of Confluent's connectors, and what else is over HTTP."""
